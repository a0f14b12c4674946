"""What holds for every worker's manifests, whatever the golden files show."""

import base64
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from builders import CATEGORY, GROUP, KEYS, NAMESPACE, SETTINGS, camera, category, group
from camera_api.assignment import ASSIGNMENT_KEY, AssignedCamera, Assignment, Role
from camera_api.quantities import parse_cpu, parse_memory
from camera_operator.decide.settings import PlanSettings
from camera_operator.specs import names
from camera_operator.specs.worker import fingerprint, worker_secret, worker_service, worker_stateful_set

WORKER = "lobby-ingest-0"
MEBIBYTE = 2**20


def stateful_set(max_cameras: int = 50, settings: PlanSettings = SETTINGS, *, sized_for: int = 0) -> dict[str, Any]:
    return worker_stateful_set(group(), WORKER, Role.INGEST, category(max_cameras).spec, settings, sized_for=sized_for)


def resources(manifest: dict[str, Any]) -> tuple[int, int, int]:
    """Millicores and bytes requested, and the limit in bytes."""
    stated = manifest["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert set(stated["limits"]) == {"memory"}
    requests = stated["requests"]
    return parse_cpu(requests["cpu"]), parse_memory(requests["memory"]), parse_memory(stated["limits"]["memory"])


def assignment() -> Assignment:
    door = camera("door")
    assert door.source is not None
    entry = AssignedCamera(namespace=NAMESPACE, name="door", uid=door.uid, source=door.source, credentials=KEYS)
    return Assignment(
        worker=WORKER,
        namespace=NAMESPACE,
        role=Role.INGEST,
        group=GROUP,
        category=CATEGORY,
        revision=4,
        bearer_token=SecretStr("token"),
        cameras=(entry,),
    )


def test_requests_are_overhead_and_so_many_cameras() -> None:
    assert resources(stateful_set(sized_for=0))[:2] == (50, 128 * MEBIBYTE)
    assert resources(stateful_set(sized_for=10))[:2] == (250, (128 + 160) * MEBIBYTE)


def test_the_memory_limit_is_that_of_a_full_worker_and_half_as_much_again() -> None:
    for sized_for in (0, 10, 50):
        assert resources(stateful_set(50, sized_for=sized_for))[2] == (128 + 50 * 16) * MEBIBYTE * 3 // 2


def test_an_overfull_worker_has_a_limit_above_its_requests() -> None:
    _, requested, limit = resources(stateful_set(5, sized_for=200))

    assert limit > requested


def test_the_secret_can_be_read_back_and_carries_the_releases_only_if_there_are_any() -> None:
    released = worker_secret(group(), assignment(), {"gate": 4})
    clean = worker_secret(group(), assignment(), {})

    assert Assignment.from_secret_text(base64.b64decode(released["data"][ASSIGNMENT_KEY])) == assignment()
    assert names.parse_released(released["metadata"]["annotations"][names.ANNOTATION_RELEASED]) == {"gate": 4}
    assert "annotations" not in clean["metadata"]


def test_the_fingerprint_follows_the_content() -> None:
    assert fingerprint(stateful_set()) == fingerprint(stateful_set())
    different = [
        stateful_set(sized_for=1),
        stateful_set(60),
        stateful_set(settings=replace(SETTINGS, worker_image="registry.example/camera-worker:2")),
    ]
    assert len({fingerprint(each) for each in (stateful_set(), *different)}) == 4


def test_a_new_release_of_the_operator_does_not_touch_the_pod() -> None:
    newer = stateful_set(settings=replace(SETTINGS, operator_version="1.3.0"))

    assert newer["metadata"]["labels"][names.LABEL_VERSION] == "1.3.0"
    assert newer["spec"] == stateful_set()["spec"]


def test_every_object_belongs_to_the_group() -> None:
    for manifest in (
        stateful_set(),
        worker_service(group(), WORKER, Role.INGEST),
        worker_secret(group(), assignment(), {}),
    ):
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("CameraGroup", GROUP, "uid-group")
        assert owner["controller"]
        assert owner["blockOwnerDeletion"]
        labels = manifest["metadata"]["labels"]
        assert labels[names.LABEL_MANAGED_BY] == names.MANAGED_BY
        assert (labels[names.LABEL_GROUP], labels[names.LABEL_WORKER]) == (GROUP, WORKER)


def test_selectors_fit_the_pods() -> None:
    manifest = stateful_set()
    labels = manifest["spec"]["template"]["metadata"]["labels"]
    service = worker_service(group(), WORKER, Role.INGEST)

    for selector in (
        manifest["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        names.worker_selector(GROUP, Role.INGEST),
    ):
        assert selector.items() <= labels.items()


def test_pods_run_under_restricted_pod_security_and_without_a_token() -> None:
    spec = stateful_set()["spec"]["template"]["spec"]
    container = spec["containers"][0]

    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {tuple(volume)[1] for volume in spec["volumes"]} == {"secret", "emptyDir"}


def test_nothing_secret_is_outside_of_the_secret() -> None:
    text = repr((stateful_set(), worker_service(group(), WORKER, Role.INGEST)))

    assert "hunter2" not in text
    assert "token'" not in text
