"""A worker's Secret, Service and Deployment, complete, for server-side apply."""

import base64
import hashlib
import json
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


def worker_secret(group: GroupView, assignment: Assignment) -> Manifest:
    """The Secret that holds the assignment. Holds credentials: for the API server only."""
    content = base64.b64encode(assignment.to_secret_text().encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(group, assignment.worker, assignment.role),
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


def worker_deployment(
    group: GroupView, worker: str, role: Role, category: CameraCategorySpec, settings: PlanSettings
) -> Manifest:
    """The Deployment: one pod, replaced rather than doubled, because a camera may be pulled only once."""
    labels = names.worker_labels(group=group.name, role=role, worker=worker, category=group.spec.category)
    manifest: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(group, worker, role),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {**names.worker_selector(group.name, role), names.LABEL_WORKER: worker}},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(HTTP_PORT),
                        "prometheus.io/path": "/metrics",
                    },
                },
                "spec": _pod_spec(group, worker, role, category, settings),
            },
        },
    }
    return _with_fingerprint(manifest)


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
    fingerprint = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    metadata = {**manifest["metadata"], "annotations": {names.ANNOTATION_FINGERPRINT: fingerprint}}
    return {**manifest, "metadata": metadata}


def _pod_spec(
    group: GroupView, worker: str, role: Role, category: CameraCategorySpec, settings: PlanSettings
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
        "containers": [_container(role, category, settings)],
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


def _container(role: Role, category: CameraCategorySpec, settings: PlanSettings) -> Manifest:
    return {
        "name": "worker",
        "image": settings.worker_image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": [{"name": "CAMERA_WORKER_LOG_LEVEL", "value": settings.worker_log_level}],
        "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        "resources": _resources(role, category),
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 2, "timeoutSeconds": 2},
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": "http"},
            "initialDelaySeconds": 10,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
        },
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


def _resources(role: Role, category: CameraCategorySpec) -> Manifest:
    """Requests of an empty worker and one camera; the memory limit is that of a full one with headroom.

    A template that followed the number of cameras would replace the pod, and so interrupt every camera, whenever one is
    added. So the template stays, and says what a worker needs to start.
    """
    sizing = category.ingest if role is Role.INGEST else category.analytics
    cpu = parse_cpu(sizing.overhead.cpu) + parse_cpu(sizing.per_camera.cpu)
    memory = parse_memory(sizing.overhead.memory) + parse_memory(sizing.per_camera.memory)
    full = parse_memory(sizing.overhead.memory) + sizing.max_cameras_per_worker * parse_memory(sizing.per_camera.memory)
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
