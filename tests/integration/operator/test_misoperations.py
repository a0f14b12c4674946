"""What people get wrong in a specification, on a living operator: refused or answered, harming nobody, and undone.

Each either is refused by the API server in words that name the field, or is answered by a condition ``Accepted`` with a
reason of the closed set. Nobody else's camera is touched, and with the good specification all is as it was.
"""

import asyncio
from typing import Any

import pytest

from camera_operator.cluster_api import CAMERAS, CATEGORIES, GROUPS, Resource
from camera_operator.conditions import Reason
from camera_operator.errors import ConflictError, RejectedError
from misoperations import Misoperation, misoperations
from operator_city import City, OperatorProcess, eventually

pytestmark = pytest.mark.integration

Object = dict[str, Any]

_POINTS = [{"left": 0.1, "top": 0.1}, {"left": 0.9, "top": 0.1}, {"left": 0.5, "top": 0.9}]
_TASK = {"name": "gate", "type": "Intrusion", "minDuration": "2s", "zones": [{"name": "yard", "points": _POINTS}]}
_FUTURE = "2099-01-31T00:00:00Z"

GOOD_CAMERA: Object = {
    "group": "shops",
    "lifecycle": "Active",
    "source": {"rtsp": {"url": "rtsp://192.0.2.1/main", "subStreamUrl": "rtsp://192.0.2.1/sub", "transport": "TCP"}},
    "credentialsSecretRef": {"name": "login"},
    "location": {"site": "market", "address": "1 Main Street", "latitude": 12.5, "longitude": 77.5},
    "analytics": {"tasks": [_TASK]},
    "consent": {"grantedBy": "the owner", "expiresAt": _FUTURE},
}
GOOD_GROUP: Object = {
    "department": {"name": "Police"},
    "eventSinks": [{"name": "desk", "http": {"url": "http://192.0.2.9/events"}, "types": ["Intrusion"]}],
    "failover": "Strict",
    "minWorkers": 1,
    "maintenance": {"until": "2020-01-31T00:00:00Z", "note": "over"},
}
GOOD_CATEGORY: Object = {
    "displayName": "Shops",
    "ingest": {
        "maxCamerasPerWorker": 10,
        "perCamera": {"cpu": "20m", "memory": "16Mi"},
        "overhead": {"cpu": "50m", "memory": "128Mi"},
        "decode": "EveryKeyFrame",
    },
    "analytics": {"tasks": [_TASK]},
    "health": {"offlineAfter": "10s", "disabledFaults": ["Flapping"]},
    "uptimeTarget": 95,
    "scheduling": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "video", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
        "priorityClassName": "cameras",
        "topologySpread": [{"topologyKey": "example.com/rack", "maxSkew": 1}],
    },
}


class Clumsy:
    """Edits one object of the city, wrongly and back."""

    def __init__(self, city: City, operator: OperatorProcess, resource: Resource, name: str, good: Object) -> None:
        self._city = city
        self._operator = operator
        self._resource = resource
        self._namespace = city.namespace if resource.namespaced else ""
        self._name = name
        self._good = good

    async def run(self, mistakes: list[Misoperation]) -> None:
        """One after another, and back in the end."""
        await self._answer(await self._write(self._good))
        await self._city.quiet(self._operator)
        before, bystanders = await self._picture(), await self._bystanders()
        taken = 0
        for mistake in mistakes:
            written = await self._write_unless_refused(mistake)
            if written is not None:
                taken += 1
                await self._answer(written, mistake)
                assert await self._bystanders() == bystanders, f"{mistake} has harmed others"
        assert 0 < taken < len(mistakes)
        await self._answer(await self._write(self._good))
        await eventually(lambda: self._is(before), 20, "all is as it was")
        assert self._operator.process.poll() is None
        log = self._operator.log.read_text()
        assert "pass failed" not in log
        # The operator makes nothing that the API server refuses.
        assert "HTTP 422" not in log
        assert "HTTP 400" not in log

    async def _is(self, picture: Object) -> bool:
        return await self._picture() == picture

    async def _write(self, spec: Object) -> Object:
        while True:
            found = await self._city.api.get(self._resource, self._namespace, self._name)
            try:
                return await self._city.api.replace(self._resource, {**found, "spec": spec})
            except ConflictError:
                await asyncio.sleep(0.05)

    async def _write_unless_refused(self, mistake: Misoperation) -> Object | None:
        """None: the API server has refused it, in words that name a field on the way to the mistake."""
        try:
            return await self._write(mistake.spec)
        except RejectedError as error:
            cause = error.cause
        assert any(isinstance(step, str) and step in cause for step in mistake.path), f"{mistake}: {cause}"
        return None

    async def _answer(self, written: Object, mistake: Misoperation | None = None) -> None:
        """Waits for the status that answers what was written."""
        if self._resource == CATEGORIES:
            await asyncio.sleep(0.4)
            return

        async def answered() -> Object | None:
            found = await self._city.api.get(self._resource, self._namespace, self._name)
            status: Object = found.get("status") or {}
            return status if status.get("observedGeneration") == written["metadata"]["generation"] else None

        status = await eventually(answered, 15, f"{mistake} is answered")
        accepted = next(each for each in status["conditions"] if each["type"] == "Accepted")
        assert accepted["reason"] in set(Reason), mistake
        assert accepted["status"] == "True" or accepted["message"], mistake

    async def _bystanders(self) -> Object:
        """What workers are told of the cameras that have nothing to do with it."""
        names = {"far", "near"} if self._resource == CAMERAS else {"far"}
        return {
            camera.name: (worker, camera)
            for worker, assignment in (await self._city.assignments()).items()
            for camera in assignment.cameras
            if camera.name in names
        }

    async def _picture(self) -> Object:
        """Everything that people see, without times and counters."""
        statuses: Object = {}
        for name in ("far", "near", "odd"):
            status = await self._city.camera(name)
            conditions = [
                (each["type"], each["status"], each["reason"], each["message"]) for each in status.get("conditions", ())
            ]
            statuses[name] = (status.get("state"), status.get("reason"), status.get("worker"), conditions)
        told = {name: each.cameras for name, each in (await self._city.assignments()).items()}
        return {"statuses": statuses, "told": told}


async def clumsy_city(city: City) -> OperatorProcess:
    """Cameras odd and near in the group shops; far in a group and a category of its own."""
    await city.add_group("mall", category=f"{city.category}-far")
    await city.add_camera("near")
    await city.add_camera("far", group="mall")
    await city.add_camera("odd", secret="login")
    return await city.start_operator()


KINDS = {
    "camera": (CAMERAS, "odd", GOOD_CAMERA),
    "group": (GROUPS, "shops", GOOD_GROUP),
    "category": (CATEGORIES, "", GOOD_CATEGORY),
}


async def make_mistakes(city: City, kind: str, *, every: int) -> None:
    resource, name, good = KINDS[kind]
    if resource == GROUPS:
        good = {**good, "category": city.category}
    await city.add_category(f"{city.category}-far")
    operator = await clumsy_city(city)
    mistakes = misoperations(resource.plural, good)
    assert len(mistakes) > 50
    await Clumsy(city, operator, resource, name or city.category, good).run(mistakes[::every])


@pytest.mark.parametrize("kind", KINDS)
async def test_some_mistakes_harm_nobody_and_are_undone(city: City, kind: str) -> None:
    """Every twelfth; all of them with the long tests."""
    await make_mistakes(city, kind, every=12)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
async def test_no_mistake_harms_anybody_and_all_are_undone(city: City, kind: str) -> None:
    await make_mistakes(city, kind, every=1)
