"""What users do with kubectl, for every test that has a city: simulated or on a real API server."""

import base64
from datetime import UTC, datetime
from typing import Any

from camera_operator.cluster_api import CAMERAS, CATEGORIES, GROUPS, SECRETS, ClusterApi, Resource

Object = dict[str, Any]

PASSWORD = "hunter2-of-the-cameras"


class Users:
    """Hands of the users of one namespace, which has a category of its own name.

    Args:
        api: the API server.
        namespace: of groups, cameras and Secrets.
    """

    def __init__(self, api: ClusterApi, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.category = namespace

    def now(self) -> datetime:
        """Wall clock of the city."""
        return datetime.now(UTC)

    async def watch_until_quiet(self) -> None:
        """Waits until everything that has happened so far has been answered."""
        raise NotImplementedError

    async def add_category(self, name: str | None = None, /, **spec: Any) -> None:
        """Creates the category, or adjusts it; another one by a name that begins with the city's."""
        await self._apply(CATEGORIES, name or self.category, {"spec": spec}, namespaced=False)

    async def add_group(self, name: str = "shops", **spec: Any) -> None:
        """Creates a group, or adjusts it."""
        await self._apply(GROUPS, name, {"spec": {"category": self.category, **spec}})

    async def add_camera(self, name: str, *, group: str = "shops", secret: str | None = None, **spec: Any) -> None:
        """Creates a camera, or adjusts it."""
        content: Object = {"group": group, "source": {"rtsp": {"url": f"rtsp://192.0.2.1/{name}"}}, **spec}
        if secret is not None:
            content["credentialsSecretRef"] = {"name": secret}
        await self._apply(CAMERAS, name, {"spec": content})

    async def add_secret(self, name: str = "login", **data: str) -> None:
        """Creates credentials, or adjusts them."""
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        await self._apply(SECRETS, name, {"type": "Opaque", "data": encoded})

    async def remove(self, resource: Resource, name: str) -> None:
        """Deletes an object."""
        namespace = self.namespace if resource.namespaced else ""
        found = await self.api.get(resource, namespace, name)
        await self.api.delete(resource, namespace, name, uid=found["metadata"]["uid"])

    async def _apply(self, resource: Resource, name: str, content: Object, *, namespaced: bool = True) -> None:
        metadata = {"name": name, **({"namespace": self.namespace} if namespaced else {})}
        manifest = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **content}
        await self.api.apply(resource, manifest)
