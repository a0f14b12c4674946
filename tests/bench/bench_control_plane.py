"""The operator on a real control plane with nodes that are played: how fast it is, how calm, how small.

Starts etcd, kube-apiserver, kube-controller-manager, kube-scheduler and an operator. The pods of the operator's
StatefulSets are made and bound by these, and KWOK plays their nodes; only the workers' health polls, which no such node
can answer, are answered by this process. All share the machine's cores, as they do where the goals were set.

For each size of the fleet it measures, in this order,

* all cameras created at once: until every one is assigned and all workers are applied, until every one has a status;
* all workers come up and report (their pods were bound before, and start now): until every camera's status is Working;
* one camera's URL changed, many times: until the worker's Secret is applied, as a watching client sees it;
* the operator's writes over a minute of idleness, without its Lease;
* a restart: until the operator leads, its writes, and the cameras it has moved;
* 1 % of the cameras replaced by others: how many of the others have moved;
* the outage of a site: until the group's status is right, until all cameras' statuses are written;
* the leader killed: until the standby has written, and whether it had to list again;
* memory.

Writes and lists are the operator's alone, by the API server's own count, whatever became of them: ``fleet_requests``
tells how those of the others are kept apart. The rates at which this API server creates ConfigMaps and applies statuses
for a bare client, measured in the same run, tell a slow machine from a slow operator.

Prints a table; ``--output json`` the same as JSON.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "deploy" / "local")]

import aiohttp  # noqa: E402 - after the path of the others

from bench.fleet import (  # noqa: E402
    NAMESPACE,
    camera,
    camera_name,
    create_all,
    creates_per_second,
    eventually,
    group_name,
    in_parallel,
    prepare,
    statuses_per_second,
)
from bench.fleet_kwok import Kwok  # noqa: E402
from bench.fleet_nodes import FleetNodes  # noqa: E402
from bench.fleet_requests import lists, prepare_operator, settled, writes, writes_during  # noqa: E402
from bench.fleet_watch import FleetWatch  # noqa: E402
from camera_api.faults import Fault  # noqa: E402
from camera_operator.cluster_api import CAMERAS, KubernetesApi, load_configuration  # noqa: E402
from local_cluster import Cluster, build  # noqa: E402
from local_cluster.progress import Reporter  # noqa: E402

#: Cameras and groups of the fleets that are measured.
SMALL, CITY, HUGE = (300, 1), (6_720, 13), (100_000, 100)
#: Cameras of a site that fails.
SITE = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure."""

    cameras: int
    what: str
    value: float
    unit: str
    goal: str = ""


class Operator:
    """An operator process with a metrics port of its own.

    Args:
        kubeconfig: its access to the cluster.
        port: of its endpoints.
        log: file of its log lines.
    """

    def __init__(self, kubeconfig: Path, port: int, log: Path) -> None:
        self.port = port
        self.began = time.monotonic()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "camera_operator", "run", "--worker-image", "camera-worker:bench"),
                    *("--kubeconfig", str(kubeconfig), "--http-port", str(port), "--namespace", "default"),
                ],
                stdout=output,
                stderr=output,
                env=os.environ,
            )

    async def leads(self) -> float:
        """Waits until it leads; returns the seconds since its start."""
        await eventually(self._leads, "the operator leads")
        return time.monotonic() - self.began

    async def is_warm(self) -> None:
        """Waits until its cache is complete."""

        async def probe() -> bool:
            return await self._get("/readyz") == "ok\n"

        await eventually(probe, "the operator's cache is complete")

    async def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", await self._get("/metrics"), re.MULTILINE)
        return sum(map(float, found))

    async def _get(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return await response.text()
        except aiohttp.ClientConnectionError:
            return ""

    async def _leads(self) -> bool:
        if self.process.poll() is not None:
            raise SystemExit(f"the operator ended with exit code {self.process.returncode}")
        return await self.metric("camera_operator_leader") == 1

    def cpu_s(self) -> float:
        """Processor time so far: says more than the clock where others use the machine, too."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, what: str = "VmRSS") -> float:
        """Resident memory; ``VmHWM``: the most it has been."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(rf"{what}:\s+(\d+)", status)[0]) / 1024

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stops it and waits for its end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)


class Measurement:
    """One fleet on a control plane of its own.

    Args:
        kubeconfig: the operator's access to the control plane, which has no fleet yet.
        kwok: the nodes.
        api: for the users' writes.
        watch: what the operator makes of them.
        cameras: number of them.
        groups: number of them.
        log: file for the operators' log lines.
    """

    def __init__(
        self,
        kubeconfig: Path,
        kwok: Kwok,
        api: KubernetesApi,
        watch: FleetWatch,
        *,
        cameras: int,
        groups: int,
        log: Path,
    ) -> None:
        self.rows: list[Row] = []
        self._kubeconfig = kubeconfig
        self._api = api
        self._watch = watch
        self._cameras = cameras
        self._groups = groups
        self._log = log
        self._nodes = FleetNodes(kwok, watch)
        self._creates = self._applies = 0.0
        self._operators: list[Operator] = []
        # Seconds that all cameras may take for something that is done for each.
        self._limit_s = 120 + cameras / 50

    async def run(self, changes: int, idle_s: float) -> None:
        """Everything of the module's text."""
        self._creates = await creates_per_second(self._api)
        self._applies = await statuses_per_second(self._api)
        self._row("yardstick: ConfigMaps created", self._creates, "1/s")
        self._row("yardstick: statuses of cameras applied", self._applies, "1/s")
        try:
            await self._nodes.start(self._api)
            operator = self._start_operator()
            await operator.leads()
            await self._create(operator)
            await self._bring_up(operator)
            await self._change_urls(changes)
            await self._idle(idle_s)
            operator.stop()
            operator = await self._restart()
            await self._churn()
            await self._fail_a_site(operator)
            await self._kill_leader(operator)
        finally:
            for each in self._operators:
                each.stop(signal.SIGKILL)
            await self._nodes.stop()
        self._row("yardstick: ConfigMaps created, at the end", await creates_per_second(self._api), "1/s")

    def _row(self, what: str, value: float, unit: str, goal: str = "") -> None:
        row = Row(self._cameras, what, value, unit, goal)
        self.rows.append(row)
        sys.stderr.write(f"{describe(row)}\n")

    def _start_operator(self) -> Operator:
        operator = Operator(self._kubeconfig, 18480 + len(self._operators), self._log)
        self._operators.append(operator)
        return operator

    async def _create(self, operator: Operator) -> None:
        """From the creates to complete workers, and to statuses."""
        number, watch = self._cameras, self._watch
        began, used = time.monotonic(), operator.cpu_s()
        created = await create_all(self._api, CAMERAS, (camera(each, self._groups) for each in range(number)))
        done = began + created
        assigned = await watch.until(lambda: watch.assigned() == number, "all cameras are assigned", self._limit_s)
        goal = {300: "<= 2", 6_720: "<= 3", 100_000: "<= 20"}.get(number, "")
        self._row("all created", created, "s")
        self._row("... their rate, by that of ConfigMaps", number / created / self._creates, "")
        self._row("... last create until all workers applied", assigned - done, "s", goal)
        self._row("... writes of Secrets per worker", watch.revisions.total() / len(watch.assignments), "")
        stated = await watch.until(lambda: watch.with_status() == number, "all have a status", self._limit_s)
        self._row("... last create until all statuses written", stated - done, "s", "<= 25" if number <= 6_720 else "")
        self._row("... operator's processor time per camera", 1000 * (operator.cpu_s() - used) / number, "ms")

    async def _bring_up(self, operator: Operator) -> None:
        """Pods start and report."""
        number, watch = self._cameras, self._watch
        await settled(self._api)
        took = await self._nodes.start_pods(self._limit_s)
        done, used = time.monotonic(), operator.cpu_s()
        working = await watch.until(lambda: watch.in_state("Working") == number, "all cameras work", self._limit_s)
        self._row("all workers come up: time to start the pods", took, "s")
        self._row("... last pod ready until all statuses Working", working - done, "s")
        self._row("... their rate, by that of bare applies", number / (working - done) / self._applies, "")
        self._row("... operator's processor time per camera", 1000 * (operator.cpu_s() - used) / number, "ms")
        await settled(self._api)
        self._row("operator's memory", operator.memory_mib(), "MiB", "<= 500" if number > 6_720 else "<= 150")
        self._row("... at most so far", operator.memory_mib("VmHWM"), "MiB")

    async def _change_urls(self, changes: int) -> None:
        """One camera after another, in random groups at random moments."""
        generator = random.Random(1)
        seconds: list[float] = []

        async def change(number: int, each: int) -> None:
            url = f"rtsp://192.0.2.1:554/changed-{number}-"
            seen = self._watch.mark(url)
            began = time.monotonic()
            patch = {"spec": {"source": {"rtsp": {"url": url}}}}
            await self._api.merge_patch(CAMERAS, NAMESPACE, camera_name(each), patch)
            seconds.append(await seen - began)

        async with asyncio.timeout(self._limit_s), asyncio.TaskGroup() as tasks:
            for number, each in enumerate(generator.sample(range(self._cameras), changes)):
                # By the clock, not after the last one: what is slow must not thin out the changes.
                tasks.create_task(change(number, each))
                await asyncio.sleep(generator.uniform(0.2, 0.8))
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        self._row(f"one URL changed until Secret applied, {changes} times: p50", cuts[49], "s", "<= 0.3")
        self._row("... p99", cuts[98], "s", "<= 1")
        self._nodes.deliver_all()
        await settled(self._api)

    async def _idle(self, idle_s: float) -> None:
        """Writes while nothing changes but the answers of the workers."""
        # Kubernetes Events tell of what has happened up to a minute late.
        await settled(self._api, quiet_s=62.0)
        idle = await writes_during(self._api, asyncio.sleep(idle_s))
        for resource, count in sorted(idle.items()):
            sys.stderr.write(f"idle write: {resource} {count}\n")
        self._row(f"idle for {idle_s:.0f} s: writes besides the Lease", sum(idle.values()), "", "0")

    async def _restart(self) -> Operator:
        """A second operator after the first has ended in good order."""
        before = self._watch.placement()
        operator = self._start_operator()

        async def lead() -> None:
            goal = "<= 60" if self._cameras > CITY[0] else "<= 4"
            self._row("restart: start until leading", await operator.leads(), "s", goal)
            await settled(self._api)

        written = await writes_during(self._api, lead())
        passes = await operator.metric("camera_operator_reconcile_duration_seconds_count")
        spent = await operator.metric("camera_operator_reconcile_duration_seconds_sum")
        self._row("... writes besides the Lease", sum(written.values()), "", "0")
        self._row("... cameras moved", moved(before, self._watch.placement()), "", "0")
        size = self._cameras // self._groups
        self._row(f"... mean pass over a group of {size}, nothing to do", 1000 * spent / passes, "ms", "<= 20")
        self._row(
            "... operator's memory", operator.memory_mib(), "MiB", "<= 500" if self._cameras > 6_720 else "<= 150"
        )
        return operator

    async def _churn(self) -> None:
        """1 % of the cameras make room for as many others."""
        before, number = self._watch.placement(), max(self._cameras // 100, 1)
        old = random.Random(2).sample(range(self._cameras), number)
        new = range(self._cameras, self._cameras + number)
        found = [await self._api.get(CAMERAS, NAMESPACE, camera_name(each)) for each in old]
        deletions = (
            self._api.delete(CAMERAS, NAMESPACE, each["metadata"]["name"], uid=each["metadata"]["uid"])
            for each in found
        )
        await asyncio.gather(
            in_parallel(deletions, at_once=4),
            create_all(self._api, CAMERAS, (camera(each, self._groups) for each in new)),
        )
        wanted = before.keys() - {camera_name(each) for each in old} | {camera_name(each) for each in new}
        await self._watch.until(lambda: self._watch.placement().keys() == wanted, "the others are assigned")
        self._nodes.deliver_all()
        await settled(self._api)
        self._nodes.deliver_all()
        share = 100 * moved(before, self._watch.placement()) / len(before)
        self._row(f"{number} cameras replaced: others that have moved", share, "%", "<= 0.1")

    async def _fail_a_site(self, operator: Operator) -> None:
        """Cameras of whole groups cannot be reached any more, all at once."""
        watch, size = self._watch, min(SITE, self._cameras // 2)
        by_group = sorted((number % self._groups, number) for number in range(self._cameras))
        present = watch.states.keys()
        site = [camera_name(each) for _, each in by_group if camera_name(each) in present][:size]
        groups: dict[str, int] = {}
        for name in site:
            group = group_name(int(name.removeprefix("camera-")) % self._groups)
            groups[group] = groups.get(group, 0) + 1
        before = await writes(self._api)
        self._nodes.report(set(site), Fault.UNREACHABLE)
        began = time.monotonic()

        def groups_are_right() -> bool:
            told = {name: (watch.groups[name].get("faults") or {}).get("Unreachable", 0) for name in groups}
            return told == groups

        right = await watch.until(groups_are_right, "the groups' statuses are right")
        drained = await watch.until(lambda: watch.in_state("Faulty") == size, "all statuses are written")
        self._row(f"site of {size} cameras fails: until {len(groups)} groups are right", right - began, "s", "<= 5")
        self._row("... until all statuses written", drained - began, "s", f"<= {3 + size / 300:.1f}")
        await settled(self._api)
        after = await writes(self._api)
        written = sum(after.values()) - sum(before.values())
        self._row("... writes per camera", written / size, "", "<= 1.05")
        self._nodes.report(set(site), None)
        began = time.monotonic()
        back = await watch.until(lambda: watch.in_state("Faulty") == 0, "all cameras work again")
        self._row("... all back: until all statuses written", back - began, "s")
        self._row("operator's memory at the end", operator.memory_mib(), "MiB")
        await settled(self._api)

    async def _kill_leader(self, leader: Operator) -> None:
        """The standby's cache is warm; it waits for the Lease to run out."""
        standby = self._start_operator()
        await standby.is_warm()
        await settled(self._api)
        listed = await lists(self._api)
        url = "rtsp://192.0.2.1:554/after-the-leader-"
        seen = self._watch.mark(url)
        leader.stop(signal.SIGKILL)
        began = time.monotonic()
        name = next(iter(self._watch.states))
        await self._api.merge_patch(CAMERAS, NAMESPACE, name, {"spec": {"source": {"rtsp": {"url": url}}}})
        async with asyncio.timeout(60):
            self._row("leader killed: until the standby has written", await seen - began, "s", "<= 15")
        relisted = await lists(self._api)
        again = sum(relisted.get(each, 0) - listed.get(each, 0) for each in ("cameras", "secrets", "pods"))
        self._row("... lists of cameras, Secrets and pods", again, "", "0")


def moved(before: dict[str, str], after: dict[str, str]) -> int:
    """How many cameras have another worker than before, of those that are in both placements."""
    return sum(1 for name, worker in before.items() if after.get(name, worker) != worker)


def describe(row: Row) -> str:
    """One line of the table."""
    return f"{row.cameras:>7}  {row.what:<62}  {row.value:>9.3f}  {row.unit:<4}  {row.goal}".rstrip()


def render(rows: Sequence[Row]) -> str:
    """The table."""
    title = f"{'CAMERAS':>7}  {'FIGURE':<62}  {'VALUE':>9}  UNIT  GOAL"
    return "\n".join([title, *map(describe, rows)]) + "\n"


async def measure(cameras: int, groups: int, *, changes: int, idle_s: float, log: Path, kwok: Path) -> list[Row]:
    """One fleet on a control plane that is made for it."""
    cluster = Cluster.up(profile="workloads", name=f"bench-{os.getpid()}")
    try:
        configuration = await load_configuration(str(cluster.kubeconfig))
        api = KubernetesApi(configuration)
        try:
            await prepare(cluster, api, groups)
            kubeconfig = prepare_operator(cluster, cluster.paths.config)
            async with FleetWatch(configuration) as watch:
                measurement = Measurement(
                    kubeconfig, Kwok(kwok, cluster), api, watch, cameras=cameras, groups=groups, log=log
                )
                await measurement.run(changes, idle_s)
        finally:
            await api.close()
    finally:
        cluster.down()
    return measurement.rows


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description="Measure the operator on a real control plane with nodes that are played."
    )
    parser.add_argument("--cameras", type=int, help="measure one fleet of this size only")
    parser.add_argument("--groups", type=int, default=1, help="groups of that fleet (default %(default)s)")
    parser.add_argument("--huge", action="store_true", help="100,000 cameras, too: half an hour and 8 GB more")
    parser.add_argument("--changes", type=int, default=60, help="changes of URLs (default %(default)s)")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of idleness (default %(default)s)")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="format (default %(default)s)")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="file for the operators' log lines")
    options = parser.parse_args()
    # Whoever ends this process is not to be left with an API server.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    fleets = (
        [(options.cameras, options.groups)] if options.cameras else [SMALL, CITY, *([HUGE] if options.huge else [])]
    )
    kwok = build.ensure_kwok(Reporter())
    sys.stderr.write(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores\n")
    rows: list[Row] = []
    for cameras, groups in fleets:
        rows += asyncio.run(
            measure(cameras, groups, changes=options.changes, idle_s=options.idle, log=options.log, kwok=kwok)
        )
    sys.stdout.write(
        json.dumps([asdict(row) for row in rows], indent=2) + "\n" if options.output == "json" else render(rows)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
