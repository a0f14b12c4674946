"""A worker's objects, whole, as a reviewer sees them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from builders import CATEGORY, GROUP, KEYS, NAMESPACE, SETTINGS, camera, category, group
from camera_api.assignment import AssignedCamera, Assignment, Role
from camera_operator.specs.worker import worker_secret, worker_service, worker_stateful_set

Check = Callable[[str, dict[str, Any]], None]
WORKER = "lobby-ingest-0"


def test_secret(matches_golden: Check) -> None:
    door = camera("door")
    assert door.source is not None
    assignment = Assignment(
        worker=WORKER,
        namespace=NAMESPACE,
        role=Role.INGEST,
        group=GROUP,
        category=CATEGORY,
        revision=4,
        bearer_token=SecretStr("token"),
        cameras=(
            AssignedCamera(namespace=NAMESPACE, name=door.name, uid=door.uid, source=door.source, credentials=KEYS),
        ),
    )

    matches_golden("worker_secret", worker_secret(group(), assignment, {"gate": 4}))


def test_service(matches_golden: Check) -> None:
    matches_golden("worker_service", worker_service(group(), WORKER, Role.INGEST))


def test_stateful_set(matches_golden: Check) -> None:
    manifest = worker_stateful_set(group(), WORKER, Role.INGEST, category().spec, SETTINGS, sized_for=12)

    matches_golden("worker_stateful_set", manifest)


def test_stateful_set_with_everything_that_a_category_can_ask_for(matches_golden: Check) -> None:
    demanding = category(
        100,
        ingest={"perCamera": {"cpu": "40m", "memory": "24Mi"}, "overhead": {"cpu": "1", "memory": "1Gi"}},
        scheduling={
            "nodeSelector": {"example.org/cameras": "yes"},
            "tolerations": [{"key": "cameras", "operator": "Exists", "effect": "NoSchedule"}],
            "priorityClassName": "video",
            "topologySpread": [{"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}],
        },
    )
    settings = replace(
        SETTINGS,
        image_pull_policy="Always",
        image_pull_secrets=("registry",),
        worker_service_account="workers",
        worker_log_level="debug",
    )

    manifest = worker_stateful_set(group(), WORKER, Role.INGEST, demanding.spec, settings, sized_for=80)

    matches_golden("worker_stateful_set_demanding", manifest)
