"""A worker's Secret, Service and StatefulSet and a group's PodDisruptionBudgets, complete, for server-side apply."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from camera_api import API_VERSION
from camera_api.assignment import ASSIGNMENT_KEY, Assignment, Role
from camera_api.base import ApiModel
from camera_api.category import CameraCategorySpec, Scheduling
from camera_api.quantities import format_cpu, format_memory
from camera_operator.decide.model import GroupView, Resources
from camera_operator.decide.settings import PlanSettings
from camera_operator.decide.sizing import Load, requests, sizing_of
from camera_operator.specs import names

Manifest = dict[str, Any]

ASSIGNMENT_DIRECTORY = "/etc/camera-worker"
HTTP_PORT = 8080
CONTAINER_NAME = "worker"
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
            # Headless: there is one pod behind it, and a fleet has thousands of workers.
            "clusterIP": "None",
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
    working_before: int | None = None,
) -> Manifest:
    """The StatefulSet: at most one pod at any time, whatever fails, because a camera may be pulled only once.

    A Deployment makes a new pod as soon as the old one is being deleted, while that may still run.

    Args:
        group: owns it.
        worker: its name.
        role: of the worker.
        category: sizes and scheduling.
        settings: image and the like.
        sized_for: number of the category's cameras that a new pod's requests are for.
        working_before: number of cameras that work at present; no part of the fingerprint.
    """
    metadata = _metadata(group, worker, role)
    labels = metadata["labels"]
    spec = _pod_spec(group, worker, role, category, settings)
    template_hash = _digest({"labels": labels, "annotations": _POD_ANNOTATIONS, "spec": spec})
    size = requests(sizing_of(category, role), Load(sized_for, sized_for, sized_for))
    spec["containers"][0]["resources"] = container_resources(category, role, size)
    manifest: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            **metadata,
            # Not on the pod, where each release of the operator would replace it.
            "labels": {**labels, names.LABEL_VERSION: settings.operator_version},
            "annotations": {names.ANNOTATION_SIZED_FOR: str(sized_for), names.ANNOTATION_TEMPLATE: template_hash},
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
                "metadata": {
                    "labels": labels,
                    "annotations": {**_POD_ANNOTATIONS, names.ANNOTATION_TEMPLATE: template_hash},
                },
                "spec": spec,
            },
        },
    }
    manifest = _with_fingerprint(manifest)
    if working_before is not None:
        manifest["metadata"]["annotations"][names.ANNOTATION_WORKING_BEFORE] = str(working_before)
    return manifest


def disruption_budget(group: GroupView, role: Role) -> Manifest:
    """The PodDisruptionBudget of a group's workers: a drain takes one of them at a time, and broken ones any time."""
    manifest: Manifest = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": names.budget_name(group.name, role),
            "namespace": group.namespace,
            "labels": {
                **names.worker_selector(group.name, role),
                names.LABEL_COMPONENT: role.value,
                names.LABEL_PART_OF: names.MANAGED_BY,
                names.LABEL_MANAGED_BY: names.MANAGED_BY,
            },
            "ownerReferences": [_owner(group)],
        },
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.worker_selector(group.name, role)},
        },
    }
    return _with_fingerprint(manifest)


def container_resources(category: CameraCategorySpec, role: Role, size: Resources) -> Manifest:
    """Requests as given; the memory limit is that of a full worker with headroom.

    The limit does not follow the cameras: a worker that is given more of them must not be killed for it.
    """
    return {
        "requests": {"cpu": format_cpu(size.cpu), "memory": format_memory(size.memory)},
        # No CPU limit: throttling a decoder looks like a camera that stalls.
        "limits": {"memory": format_memory(memory_limit(category, role, size))},
    }


def memory_limit(category: CameraCategorySpec, role: Role, size: Resources) -> int:
    """Bytes that a worker which requests this size may use at most."""
    sizing = sizing_of(category, role)
    most = sizing.max_cameras_per_worker
    full = max(requests(sizing, Load(most, most, most)).memory, size.memory)
    mebibyte = 2**20
    return -int(-full * MEMORY_HEADROOM // mebibyte) * mebibyte


def template_of(manifest: Manifest) -> str:
    """Hash of the template of a StatefulSet as it was built here, sizes apart."""
    text: str = manifest["metadata"]["annotations"][names.ANNOTATION_TEMPLATE]
    return text


def fingerprint(manifest: Manifest) -> str:
    """Hash of an object as it was built here."""
    text: str = manifest["metadata"]["annotations"][names.ANNOTATION_FINGERPRINT]
    return text


def _metadata(group: GroupView, worker: str, role: Role) -> Manifest:
    return {
        "name": worker,
        "namespace": group.namespace,
        "labels": names.worker_labels(group=group.name, role=role, worker=worker, category=group.spec.category),
        "ownerReferences": [_owner(group)],
    }


def _owner(group: GroupView) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "CameraGroup",
        "name": group.name,
        "uid": group.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _digest(content: Manifest) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _with_fingerprint(manifest: Manifest) -> Manifest:
    digest = _digest(manifest)
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_FINGERPRINT: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _pod_spec(
    group: GroupView,
    worker: str,
    role: Role,
    category: CameraCategorySpec,
    settings: PlanSettings,
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
        "containers": [_container(settings)],
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


def _container(settings: PlanSettings) -> Manifest:
    return {
        "name": CONTAINER_NAME,
        "image": settings.worker_image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": [{"name": "CAMERA_WORKER_LOG_LEVEL", "value": settings.worker_log_level}],
        "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
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


def _spread(group: GroupView, role: Role, scheduling: Scheduling) -> list[Manifest]:
    selector = {"matchLabels": names.worker_selector(group.name, role)}
    wanted = [_json(spread) for spread in scheduling.topology_spread] or [
        {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
    ]
    return [{**spread, "labelSelector": selector} for spread in wanted]


def _json(model: ApiModel) -> Manifest:
    return model.to_json_dict()
