"""Routes of the HTTP API that show what a fault looks like."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from camera_worker.ingest.camera import Camera
from camera_worker.ingest.evidence import Evidence, Still

_BASE = "/v1/cameras/{namespace}/{name}/evidence"


class EvidenceRoutes:
    """``GET …/evidence`` says what there is; ``…/evidence/good.jpg`` and ``…/evidence/faulty.jpg`` are the pictures.

    Args:
        find: the camera of a namespace and name; None: it is not assigned.
    """

    def __init__(self, find: Callable[[tuple[str, str]], Camera | None]) -> None:
        self._find = find
        # One at a time: whoever looks at pictures must not take the CPU from the cameras.
        self._encoding = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """For the application."""
        return [
            web.get(_BASE, self._describe),
            web.get(f"{_BASE}/good.jpg", self._good),
            web.get(f"{_BASE}/faulty.jpg", self._faulty),
        ]

    async def _describe(self, request: web.Request) -> web.StreamResponse:
        camera, evidence = self._evidence(request)
        pictures = {"good": evidence.good, "faulty": evidence.faulty}
        body = {
            "fault": evidence.fault.value,
            "active": any(active.fault is evidence.fault for active in camera.health().faults),
            "since": camera.date(evidence.since),
            "message": evidence.message,
            "pictures": [
                {"name": f"{name}.jpg", "at": camera.date(still.at)}
                for name, still in pictures.items()
                if still is not None
            ],
        }
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    async def _good(self, request: web.Request) -> web.StreamResponse:
        camera, evidence = self._evidence(request)
        if evidence.good is None:
            raise _missing(f"camera {_name(camera)} has not shown a picture in good order since it is watched")
        return await self._picture(camera, evidence.good)

    async def _faulty(self, request: web.Request) -> web.StreamResponse:
        camera, evidence = self._evidence(request)
        if evidence.faulty is None:
            raise _missing(f"camera {_name(camera)}: {evidence.fault.value} has no picture of its own")
        return await self._picture(camera, evidence.faulty)

    async def _picture(self, camera: Camera, still: Still) -> web.StreamResponse:
        async with self._encoding:
            jpeg = await asyncio.to_thread(still.jpeg)
        if jpeg is None:
            raise _missing(f"the picture of camera {_name(camera)} is damaged")
        return web.Response(body=jpeg, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    def _evidence(self, request: web.Request) -> tuple[Camera, Evidence]:
        key = request.match_info["namespace"], request.match_info["name"]
        camera = self._find(key)
        if camera is None:
            raise _missing(f"camera {'/'.join(key)} is not assigned to this worker")
        evidence = camera.evidence()
        if evidence is None:
            raise _missing(f"camera {'/'.join(key)} has no fault, and its picture has had none")
        return camera, evidence


def _name(camera: Camera) -> str:
    return "/".join(camera.assigned.key)


def _missing(message: str) -> web.HTTPNotFound:
    return web.HTTPNotFound(text=web.json_response({"error": message}).text, content_type="application/json")
