import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from camera_api.assignment import SourceKind
from camera_api.camera import CameraState, Lifecycle
from camera_operator.decide.model import CameraStatusView, GroupStatusView, SecretProblem
from camera_operator.specs import names
from camera_operator.views import camera_status, camera_view, category_view, group_status, group_view, secret_view
from camera_operator.views import worker_pod_view as pod_view

Object = dict[str, Any]
META = {"namespace": "city", "name": "a", "uid": "u", "generation": 3, "resourceVersion": "9"}
RTSP = {"rtsp": {"url": "rtsp://cam/main", "subStreamUrl": "rtsp://cam/sub", "transport": "TCP"}}
WORKER_LABELS = {
    names.LABEL_MANAGED_BY: names.MANAGED_BY,
    names.LABEL_GROUP: "shops",
    names.LABEL_WORKER: "shops-ingest-0",
}


def test_a_camera_keeps_what_decisions_need() -> None:
    view = camera_view(
        {
            "metadata": META,
            "spec": {
                "group": "shops",
                "source": RTSP,
                "lifecycle": "Maintenance",
                "credentialsSecretRef": {"name": "login"},
                "consent": {"grantedBy": "owner", "expiresAt": "2030-01-31T00:00:00+05:30"},
                "analytics": {"tasks": [{"name": "crowd", "enabled": False}]},
            },
        }
    )
    assert view.invalid is None
    assert view.source is not None
    assert (view.source.kind, view.source.main_url, view.source.sub_url) == (
        SourceKind.RTSP,
        "rtsp://cam/main",
        "rtsp://cam/sub",
    )
    assert (view.key, view.uid, view.generation, view.deleting) == (("city", "a"), "u", 3, False)
    assert (view.group, view.lifecycle, view.credentials_secret) == ("shops", Lifecycle.MAINTENANCE, "login")
    assert view.consent_expires_at == datetime(2030, 1, 30, 18, 30, tzinfo=UTC)
    assert [task.name for task in view.tasks] == ["crowd"]


def test_equal_cameras_make_equal_views() -> None:
    raw = {"metadata": META, "spec": {"group": "shops", "source": {"http": {"url": "http://cam/mjpeg"}}}}
    assert camera_view(raw) == camera_view({**raw, "metadata": {**META, "resourceVersion": "10"}})


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"group": "shops"}, "spec.source: Field required"),
        ({"group": "shops", "source": {}}, "spec.source: must have exactly one of rtsp and http"),
        ({"group": "shops", "source": RTSP, "lifecycle": "Broken"}, "spec.lifecycle: Input should be"),
    ],
)
def test_an_unusable_camera_names_the_field(spec: Object, complaint: str) -> None:
    view = camera_view({"metadata": META, "spec": spec})
    assert view.invalid is not None
    assert view.invalid.startswith(complaint)
    assert view.source is None
    assert view.group == "shops"


def test_an_unusable_camera_does_not_quote_its_values() -> None:
    source = {"rtsp": {"url": "rtsp://admin:hunter2@cam/main", "transport": "hunter2"}}
    view = camera_view({"metadata": META, "spec": {"group": "shops", "source": source}})
    assert view.invalid is not None
    assert "hunter2" not in view.invalid


@pytest.mark.parametrize("status", [{"state": "Nonsense"}, {"conditions": [{"type": "Ready"}]}, {"conditions": 3}])
def test_a_garbled_status_counts_as_none(status: Object) -> None:
    assert camera_status(status) == CameraStatusView()
    assert group_status({"cameras": 3, **status}) == GroupStatusView()


def test_a_status_is_read_whole() -> None:
    status = camera_status({"state": "Faulty", "reason": "Frozen", "since": "2030-01-31T12:00:00Z", "worker": "w"})
    assert (status.state, status.reason, status.since, status.worker) == (
        CameraState.FAULTY,
        "Frozen",
        "2030-01-31T12:00:00Z",
        "w",
    )


def test_repeated_strings_are_kept_once() -> None:
    # Not literals: those are the same object anyway.
    groups = [json.loads('"a-group-of-shops"') for _ in range(2)]
    assert groups[0] is not groups[1]
    views = [camera_view({"metadata": META, "spec": {"group": group, "source": RTSP}}) for group in groups]
    assert views[0].group is views[1].group


def test_unusable_groups_and_categories_are_none() -> None:
    assert group_view({"metadata": META, "spec": {}}) is None
    assert category_view({"metadata": {"name": "c"}, "spec": {"uptimeTarget": "often"}}) is None
    category = category_view({"metadata": {"name": "c"}, "spec": {}})
    assert category is not None
    assert category.spec.ingest.max_cameras_per_worker == 50


def test_a_secret_of_another_kind_keeps_nothing() -> None:
    secret = {"metadata": META, "data": {"tls.key": base64.b64encode(b"private").decode()}}
    assert secret_view(secret) is SecretProblem.INCOMPLETE


def test_a_pod_says_where_it_can_be_asked() -> None:
    ports = [{"name": "other", "containerPort": 1}, {"name": "http", "containerPort": 9090}]
    view = pod_view(
        {
            "metadata": {
                **META,
                "labels": WORKER_LABELS,
                "annotations": {names.ANNOTATION_ASSIGNMENT_REVISION: "7"},
                "deletionTimestamp": "2030-01-31T12:00:00Z",
            },
            "spec": {"nodeName": "node-1", "containers": [{"name": "worker", "ports": ports}]},
            "status": {"podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]},
        }
    )
    assert view is not None
    assert view.port == 9090
    assert (view.pod.address, view.pod.node, view.pod.ready, view.pod.terminating, view.pod.revision_annotation) == (
        "10.0.0.7",
        "node-1",
        True,
        True,
        "7",
    )


def test_a_pod_of_somebody_else_is_none() -> None:
    assert pod_view({"metadata": {**META, "labels": {names.LABEL_GROUP: "shops"}}}) is None
