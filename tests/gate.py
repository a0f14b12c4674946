"""A gate between one life of the operator and an API server: every call passes it, and each write can end otherwise.

It knows no kind and no verb. What is no read is a write, so new kinds of writes are covered without a change here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, cast

from camera_operator.cluster_api import LEASES, ClusterApi, Page, Resource
from camera_operator.errors import ClusterError

_READS = frozenset({"get", "missing_kinds", "can_resize_pods"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the ``ClusterApi``."""

    verb: str  #: name of the method
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.namespace}/{self.name}"

    @property
    def is_write(self) -> bool:
        """Whether it is meant to change something. Leases are no matter of cameras and count as neither."""
        return self.verb not in {*_READS, "list_pages"} and self.kind != LEASES.kind


class Ending(Enum):
    """How a call ends."""

    NORMAL = auto()
    DIES_BEFORE = auto()  #: the process dies, the request never leaves
    DIES_AFTER = auto()  #: the API server has done it, the process dies before it hears so


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """The API server has done it, but the operator hears something else."""

    error: ClusterError


Verdict = Ending | ClusterError | AnswerLost
#: Decides how a call ends; an error is raised in place of the call.
Judge = Callable[[Call], Verdict]


def pass_all(_call: Call) -> Ending:
    """Nothing goes wrong."""
    return Ending.NORMAL


class Strike:
    """A judge that lets the n-th write (from 1) end otherwise; counts from ``arm`` on."""

    def __init__(self, number: int, verdict: Verdict) -> None:
        self._number = number
        self._verdict = verdict
        self._armed = False
        self.struck: Call | None = None

    def arm(self) -> None:
        """What happens from now on counts."""
        self._armed = True

    def __call__(self, call: Call) -> Verdict:
        if not (self._armed and call.is_write) or self.struck is not None:
            return Ending.NORMAL
        self._number -= 1
        if self._number > 0:
            return Ending.NORMAL
        self.struck = call
        return self._verdict


@dataclass(frozen=True, slots=True)
class _Answer:
    content: Any = None
    error: ClusterError | None = None


class Gate:
    """See the module.

    Args:
        api: the API server.
        judge: of the calls.
        delay: seconds that a call is on its way, each way.

    Attributes:
        calls: all writes that passed or were refused, in order.
        died: set when the process has died: no call of it has any effect from then on, and none returns.
    """

    def __init__(
        self, api: ClusterApi, *, judge: Judge = pass_all, delay: Callable[[Call], float] = lambda _call: 0.0
    ) -> None:
        self._api = api
        self.judge: Judge = judge
        self.delay = delay
        self.calls: list[Call] = []
        self.died = asyncio.Event()
        self._under_way: set[asyncio.Task[_Answer]] = set()

    @property
    def api(self) -> ClusterApi:
        """What the operator is given."""
        return cast("ClusterApi", self)

    async def list_pages(self, resource: Resource, namespace: str | None, **selectors: str) -> AsyncIterator[Page]:
        call = Call("list_pages", resource.kind, namespace or "", "")
        await self._travel(call)
        verdict = self.judge(call)
        if isinstance(verdict, ClusterError):
            raise verdict
        async for page in self._api.list_pages(resource, namespace, **selectors):
            await self._travel(call)
            yield page

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._api, verb)

        async def passed(*arguments: Any, **options: Any) -> Any:
            call = _describe(verb, arguments)
            return await self._pass(call, lambda: method(*arguments, **options))

        return passed

    async def _pass(self, call: Call, send: Callable[[], Awaitable[Any]]) -> Any:
        if self.died.is_set():
            await _for_ever()
        delay = self.delay(call)
        if not delay:
            return await self._hear(await self._arrive(call, send))
        # A request that has left its process arrives whether or not that lives to hear the answer.
        arrival = asyncio.create_task(self._arrive_after(delay, call, send))
        self._under_way.add(arrival)
        arrival.add_done_callback(self._under_way.discard)
        answer = await asyncio.shield(arrival)
        await self._travel(call)
        return await self._hear(answer)

    async def _arrive_after(self, delay: float, call: Call, send: Callable[[], Awaitable[Any]]) -> _Answer:
        await asyncio.sleep(delay)
        return await self._arrive(call, send)

    async def _arrive(self, call: Call, send: Callable[[], Awaitable[Any]]) -> _Answer:
        """What the API server does with a request, and answers."""
        verdict = self.judge(call)
        if call.is_write:
            self.calls.append(call)
        if verdict is Ending.DIES_BEFORE:
            self.died.set()
            return _Answer()
        if isinstance(verdict, ClusterError):
            return _Answer(error=verdict)
        try:
            answer = _Answer(await send())
        except ClusterError as error:
            answer = _Answer(error=error)
        if verdict is Ending.DIES_AFTER:
            self.died.set()
        if isinstance(verdict, AnswerLost):
            return _Answer(error=verdict.error)
        return answer

    async def _hear(self, answer: _Answer) -> Any:
        if self.died.is_set():
            await _for_ever()
        if answer.error is not None:
            raise answer.error
        return answer.content

    async def _travel(self, call: Call) -> None:
        delay = self.delay(call)
        if delay:
            await asyncio.sleep(delay)
        if self.died.is_set():
            await _for_ever()


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def _describe(verb: str, arguments: tuple[Any, ...]) -> Call:
    """Kind and name, whether the call is given a manifest, or a namespace and a name."""
    kind = ""
    if arguments and isinstance(arguments[0], Resource):
        kind, arguments = arguments[0].kind, arguments[1:]
    if not arguments:
        return Call(verb, kind, "", "")
    if isinstance(arguments[0], str):
        return Call(verb, kind, arguments[0], arguments[1])
    metadata = arguments[0]["metadata"]
    return Call(verb, kind, metadata.get("namespace", ""), metadata["name"])
