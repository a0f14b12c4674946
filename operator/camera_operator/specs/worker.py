"""A worker's Secret, Service and StatefulSet, complete, for server-side apply."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from camera_api import API_VERSION
from camera_api.assignment import ASSIGNMENT_KEY, Assignment, Role
from camera_api.base import ApiModel
from camera_api.category import CameraCategorySpec, Scheduling
from camera_api.quantities import format_cpu, format_memory, parse_cpu, parse_memory
from camera_operator.decide.model import GroupView
from camera_operator.decide.settings import PlanSettings
from camera_operator.specs import names

Manifest = dict[str, Any]

ASSIGNMENT_DIRECTORY = "/etc/camera-worker"
HTTP_PORT = 8080
#: Closing all cameras takes a worker a few seconds; more is only for a node under load.
TERMINATION_GRACE_SECONDS = 15
#: Memory limit over what a full worker should need: a burst of key frames, not a leak, must fit.
MEMORY_HEADROOM = 1.5
_POD_ANNOTATIONS = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": str(HTTP_PORT),
    "prometheus.io/path": "/metrics",
    # A pod with an emptyDir would otherwise keep the cluster autoscaler from removing its node.
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
}


def worker_secret(group: GroupView, assignment: Assignment, released: Mapping[str, int]) -> Manifest:
    """The Secret that holds the assignment. Holds credentials: for the API server only.

    Args:
        group: owns it.
        assignment: its content.
        released: cameras taken from the worker, with the revision that took them.
    """
    content = base64.b64encode(assignment.to_secret_text().encode()).decode()
    metadata = _metadata(group, assignment.worker, assignment.role)
    if released:
        metadata["annotations"] = {names.ANNOTATION_RELEASED: names.format_released(released)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": {ASSIGNMENT_KEY: content},
    }


def worker_service(group: GroupView, worker: str, role: Role) -> Manifest:
    """The Service: a stable name for whoever reads the worker's relay, metrics and snapshots."""
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(group, worker, role),
        "spec": {
            "type": "ClusterIP",
            "selector": {**names.worker_selector(group.name, role), names.LABEL_WORKER: worker},
            "ports": [{"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }
    return _with_fingerprint(manifest)


def worker_stateful_set(
    group: GroupView,
    worker: str,
    role: Role,
    category: CameraCategorySpec,
    settings: PlanSettings,
    *,
    sized_for: int,
) -> Manifest:
    """The StatefulSet: at most one pod at any time, whatever fails, because a camera may be pulled only once.

    A Deployment makes a new pod as soon as the old one is being deleted, while that may still run.

    Args:
        group: owns it.
        worker: its name.
        role: of the worker.
        category: sizes and scheduling.
        settings: image and the like.
        sized_for: number of cameras that the pod's requests are for.
    """
    metadata = _metadata(group, worker, role)
    labels = metadata["labels"]
    manifest: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            **metadata,
            # Not on the pod, where each release of the operator would replace it.
            "labels": {**labels, names.LABEL_VERSION: settings.operator_version},
            "annotations": {names.ANNOTATION_SIZED_FOR: str(sized_for)},
        },
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 1,
            "serviceName": worker,
            "podManagementPolicy": "Parallel",
            # The operator replaces pods itself, one at a time; and another size of the template replaces none.
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": {**names.worker_selector(group.name, role), names.LABEL_WORKER: worker}},
            "template": {
                "metadata": {"labels": labels, "annotations": _POD_ANNOTATIONS},
                "spec": _pod_spec(group, worker, role, category, settings, sized_for=sized_for),
            },
        },
    }
    return _with_fingerprint(manifest)


def fingerprint(manifest: Manifest) -> str:
    """Hash of a Service or StatefulSet as it was built here."""
    text: str = manifest["metadata"]["annotations"][names.ANNOTATION_FINGERPRINT]
    return text


def _metadata(group: GroupView, worker: str, role: Role) -> Manifest:
    return {
        "name": worker,
        "namespace": group.namespace,
        "labels": names.worker_labels(group=group.name, role=role, worker=worker, category=group.spec.category),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "CameraGroup",
                "name": group.name,
                "uid": group.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def _with_fingerprint(manifest: Manifest) -> Manifest:
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_FINGERPRINT: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _pod_spec(
    group: GroupView,
    worker: str,
    role: Role,
    category: CameraCategorySpec,
    settings: PlanSettings,
    *,
    sized_for: int,
) -> Manifest:
    scheduling = category.scheduling
    spec: Manifest = {
        "serviceAccountName": settings.worker_service_account,
        # Workers parse untrusted video: they hold no token for the API.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(role, category, settings, sized_for)],
        "volumes": [
            {"name": "assignment", "secret": {"secretName": worker, "defaultMode": 0o444}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        ],
        "topologySpreadConstraints": _spread(group, role, scheduling),
    }
    if settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    if scheduling.node_selector:
        spec["nodeSelector"] = dict(scheduling.node_selector)
    if scheduling.tolerations:
        spec["tolerations"] = [_json(toleration) for toleration in scheduling.tolerations]
    if scheduling.priority_class_name:
        spec["priorityClassName"] = scheduling.priority_class_name
    return spec


def _container(role: Role, category: CameraCategorySpec, settings: PlanSettings, sized_for: int) -> Manifest:
    return {
        "name": "worker",
        "image": settings.worker_image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": [{"name": "CAMERA_WORKER_LOG_LEVEL", "value": settings.worker_log_level}],
        "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        "resources": _resources(role, category, sized_for),
        # Python and FFmpeg load in a second or two; on a crowded node that may take a minute.
        "startupProbe": _probe("/healthz", period=1, failures=60),
        "readinessProbe": _probe("/readyz", period=2, failures=3),
        "livenessProbe": _probe("/healthz", period=10, failures=3),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "assignment", "mountPath": ASSIGNMENT_DIRECTORY, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a mount point
        ],
    }


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _resources(role: Role, category: CameraCategorySpec, sized_for: int) -> Manifest:
    """Requests for the cameras that the worker is sized for; the memory limit is that of a full one with headroom.

    The limit does not follow the cameras: a worker that is given more of them must not be killed for it.
    """
    sizing = category.ingest if role is Role.INGEST else category.analytics
    per_camera, overhead = sizing.per_camera, sizing.overhead
    cpu = parse_cpu(overhead.cpu) + sized_for * parse_cpu(per_camera.cpu)
    memory = parse_memory(overhead.memory) + sized_for * parse_memory(per_camera.memory)
    most = max(sizing.max_cameras_per_worker, sized_for)
    full = parse_memory(overhead.memory) + most * parse_memory(per_camera.memory)
    mebibyte = 2**20
    limit = -int(-full * MEMORY_HEADROOM // mebibyte) * mebibyte
    return {
        "requests": {"cpu": format_cpu(cpu), "memory": format_memory(memory)},
        # No CPU limit: throttling a decoder looks like a camera that stalls.
        "limits": {"memory": format_memory(limit)},
    }


def _spread(group: GroupView, role: Role, scheduling: Scheduling) -> list[Manifest]:
    selector = {"matchLabels": names.worker_selector(group.name, role)}
    wanted = [_json(spread) for spread in scheduling.topology_spread] or [
        {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
    ]
    return [{**spread, "labelSelector": selector} for spread in wanted]


def _json(model: ApiModel) -> Manifest:
    return model.to_json_dict()
