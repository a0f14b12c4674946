"""The operator's promises (design invariants) on a real API server."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from camera_api.faults import Fault
from camera_api.health import ActiveFault, Verdict
from camera_operator import report
from camera_operator.__main__ import Operator, parser
from camera_operator.cluster_api import CAMERAS, SECRETS
from camera_operator.settings import Settings
from camera_operator.specs import names
from operator_city import City, eventually
from users import PASSWORD

pytestmark = pytest.mark.integration


async def test_cameras_get_a_worker_and_a_status(city: City) -> None:
    for name in ("a", "b"):
        await city.add_camera(name, secret="login")
    operator = await city.start_operator()
    assignments = await city.assigned("a", "b")
    (assignment,) = assignments.values()
    credentials = assignment.cameras[0].credentials
    assert credentials is not None
    assert (credentials.username, credentials.password.get_secret_value()) == ("admin", PASSWORD)
    status = await city.camera_is("a", "Pending")
    assert status["worker"] == assignment.worker
    assert status["category"] == city.category
    group = await city.group()
    assert group["cameras"]["declared"] == 2
    assert await operator.get("/readyz") == "ok\n"
    assert await operator.get("/healthz") == "ok\n"


async def test_a_stable_state_is_left_alone(city: City) -> None:
    await city.add_camera("a", secret="login")
    operator = await city.start_operator("--resync-seconds", "10")
    await city.assigned("a")
    worker = await city.start_worker("shops-ingest-0")
    worker.report("a", Verdict.WORKING)
    await city.camera_is("a", "Working")
    # Events gather for 2 s before they are written.
    writes, versions = await city.quiet(operator, for_s=4.0), await city.versions()
    # Longer than the resync, the polls and every time limit of a report.
    await asyncio.sleep(25)
    assert await operator.writes() == writes
    assert await city.versions() == versions


async def test_a_restarted_operator_moves_nothing_and_writes_nothing(city: City) -> None:
    await city.add_category(ingest={"maxCamerasPerWorker": 2})
    for number in range(5):
        await city.add_camera(f"c{number}", secret="login")
    first = await city.start_operator()
    assignments = await city.assigned(*(f"c{number}" for number in range(5)))
    assert len(assignments) == 3
    for name in assignments:
        worker = await city.start_worker(name)
        for camera in worker.assignment.cameras:
            worker.report(camera.name, Verdict.WORKING)
    for number in range(5):
        await city.camera_is(f"c{number}", "Working")
    await city.quiet(first)
    first.kill()
    versions = await city.versions()
    second = await city.start_operator("--lease-name", "another")
    assert await city.quiet(second, for_s=3.0) == 0
    assert await city.versions() == versions
    assert await city.assignments() == assignments


async def test_one_camera_more_or_less_changes_one_worker(city: City) -> None:
    await city.add_category(ingest={"maxCamerasPerWorker": 3})
    cameras = [f"c{number}" for number in range(7)]
    for name in cameras:
        await city.add_camera(name)
    operator = await city.start_operator()
    before = await city.assigned(*cameras)
    await city.quiet(operator)
    await city.add_camera("new")
    after = await city.assigned(*cameras, "new")
    assert len([name for name in before if after[name] != before[name]]) == 1
    await city.remove(CAMERAS, "c0")
    less = await city.assigned(*cameras[1:], "new")
    assert len([name for name in after if less.get(name) != after[name]]) == 1


async def test_a_worker_s_report_becomes_the_camera_s_status(city: City) -> None:
    await city.add_camera("a")
    await city.start_operator()
    await city.assigned("a")
    worker = await city.start_worker("shops-ingest-0")
    worker.report("a", Verdict.WORKING)
    await city.camera_is("a", "Working")
    fault = ActiveFault(fault=Fault.CONNECTION_REFUSED, since="2030-01-31T12:00:00Z", message="192.0.2.1:554 refused")
    worker.report("a", Verdict.FAULTY, fault)
    began = time.monotonic()
    status = await city.camera_is("a", "Faulty", "ConnectionRefused")
    assert time.monotonic() - began < 2
    assert status["since"] == "2030-01-31T12:00:00Z"
    group = await city.group()
    assert group["faults"] == {"ConnectionRefused": 1}
    worker.report("a", Verdict.WORKING)
    await city.camera_is("a", "Working")


async def test_the_pod_is_told_of_each_new_assignment(city: City) -> None:
    await city.add_camera("a")
    operator = await city.start_operator()
    await city.assigned("a")
    await city.start_worker("shops-ingest-0")
    await city.quiet(operator)
    await city.add_camera("b")
    (assignment,) = (await city.assigned("a", "b")).values()
    await city.quiet(operator)
    (pod,) = await city.pods()
    assert pod["metadata"]["annotations"][names.ANNOTATION_ASSIGNMENT_REVISION] == str(assignment.revision)


async def test_new_credentials_reach_the_worker_and_touch_no_neighbour(city: City) -> None:
    await city.add_secret("other", username="u", password="p")
    await city.add_camera("a", secret="login")
    await city.add_camera("b", secret="other")
    await city.start_operator()
    (before,) = (await city.assigned("a", "b")).values()
    await city.add_secret("login", username="admin", password="changed")

    async def changed() -> bool:
        (found,) = (await city.assignments()).values()
        credentials = found.cameras[0].credentials
        return credentials is not None and credentials.password.get_secret_value() == "changed"

    await eventually(changed, 5, "the assignment has the new password")
    (after,) = (await city.assignments()).values()
    assert after.cameras[1] == before.cameras[1]
    assert after.revision == before.revision + 1


@pytest.mark.parametrize(
    ("camera", "reason"),
    [({"group": "nowhere"}, "GroupNotFound"), ({"secret": "nowhere"}, "SecretNotFound")],
)
async def test_a_camera_that_cannot_be_used_says_why_and_hinders_nobody(
    city: City, camera: dict[str, Any], reason: str
) -> None:
    await city.add_camera("bad", **camera)
    await city.add_camera("good", secret="login")
    await city.start_operator()
    await city.assigned("good")

    async def accepted() -> dict[str, Any] | None:
        conditions = {each["type"]: each for each in (await city.camera("bad")).get("conditions", ())}
        return conditions.get("Accepted")

    condition = await eventually(accepted, 10, "the camera says why it is not used")
    assert (condition["status"], condition["reason"]) == ("False", reason)


async def test_a_secret_that_appears_makes_its_camera_usable(city: City) -> None:
    await city.add_camera("a", secret="later")
    await city.start_operator()

    async def accepted() -> bool:
        return bool((await city.camera("a")).get("conditions"))

    await eventually(accepted, 10, "the camera has been looked at")
    assert await city.assignments() == {}
    await city.add_secret("later", username="u", password="p")
    await city.assigned("a")


async def test_a_stopped_leader_hands_over_at_once(city: City) -> None:
    first = await city.start_operator()
    second = await city.start_operator(wait=False)

    async def stands_by() -> bool:
        return await second.get("/readyz") == "ok\n"

    await eventually(stands_by, 30, "the standby is ready")
    assert not await second.leads()
    began = time.monotonic()
    assert first.stop() == 0
    await eventually(second.leads, 10, "the standby leads")
    assert time.monotonic() - began < 5
    await city.add_camera("a")
    await city.assigned("a")


async def test_a_killed_leader_is_replaced_when_its_lease_runs_out(city: City) -> None:
    first = await city.start_operator()
    second = await city.start_operator(wait=False)

    async def stands_by() -> bool:
        return await second.get("/readyz") == "ok\n"

    await eventually(stands_by, 30, "the standby is ready")
    first.kill()
    began = time.monotonic()
    await eventually(second.leads, 20, "the standby leads")
    # 15 s of the Lease from its last renewal, and up to 2 s until the next look.
    assert 10 < time.monotonic() - began < 18


async def test_what_was_deleted_while_no_operator_ran_is_cleaned_up(city: City) -> None:
    await city.add_camera("a")
    await city.add_camera("b")
    first = await city.start_operator()
    await city.assigned("a", "b")
    assert first.stop() == 0
    await city.remove(CAMERAS, "a")
    await city.start_operator()
    await city.assigned("b")


async def test_an_api_server_that_restarts_is_survived(city: City) -> None:
    await city.add_camera("a")
    operator = await city.start_operator()
    await city.assigned("a")
    await asyncio.to_thread(city.cluster.restart_component, "kube-apiserver")
    await city.add_camera("b")
    await city.assigned("a", "b", within_s=60)
    assert operator.process.poll() is None


async def test_a_worker_s_parts_that_somebody_deletes_come_back(city: City) -> None:
    await city.add_camera("a")
    operator = await city.start_operator()
    (before,) = (await city.assigned("a")).values()
    await city.quiet(operator)
    await city.remove(SECRETS, "shops-ingest-0")
    (after,) = (await city.assigned("a")).values()
    assert after.cameras == before.cameras


async def test_no_log_line_of_any_library_shows_a_credential(city: City, caplog: pytest.LogCaptureFixture) -> None:
    """The operator runs within this process, so that every logger can be set to DEBUG."""
    await city.add_camera("a", secret="login")
    settings = Settings(
        worker_image="camera-worker:test",
        watch_namespaces=(city.namespace,),
        namespace=city.namespace,
        pod_name="in-process",
        http_port=0,
        kubeconfig=str(city.cluster.kubeconfig),
    )
    with caplog.at_level(logging.DEBUG):
        for name in list(logging.root.manager.loggerDict):
            caplog.set_level(logging.DEBUG, logger=name)
        operator = Operator(settings)
        running = asyncio.create_task(operator.run())
        (assignment,) = (await city.assigned("a", within_s=30)).values()
        worker = await city.start_worker("shops-ingest-0")
        worker.report("a", Verdict.WORKING)
        await city.camera_is("a", "Working")
        await city.add_secret(username="admin", password=f"{PASSWORD}-changed")
        await asyncio.sleep(1)
        operator.stop()
        await running
    assert "kopf" in {record.name.split(".")[0] for record in caplog.records}
    assert PASSWORD not in caplog.text
    assert assignment.bearer_token.get_secret_value() not in caplog.text


async def test_the_rights_that_the_chart_grants_are_enough(city: City, tmp_path: Path) -> None:
    kubeconfig = city.kubeconfig_of_chart(tmp_path)
    # Rights that are needed only after a conflict, which cannot be had on demand.
    for resource in ("cameras", "cameragroups", "secrets"):
        city.cluster.kubectl("--kubeconfig", str(kubeconfig), "auth", "can-i", "get", resource, "-n", city.namespace)
    await city.add_camera("a", secret="login")
    operator = await city.start_operator("--lease-name", city.namespace, kubeconfig=kubeconfig)
    await city.assigned("a")
    worker = await city.start_worker("shops-ingest-0")
    worker.report("a", Verdict.WORKING)
    await city.camera_is("a", "Working")
    await city.add_camera("b")
    (assignment,) = (await city.assigned("a", "b")).values()
    worker.deliver(assignment)
    await city.remove(CAMERAS, "a")
    (assignment,) = (await city.assigned("b")).values()
    worker.deliver(assignment)
    await city.remove(CAMERAS, "b")
    await city.assigned()
    await city.quiet(operator)
    assert operator.stop() == 0
    assert "Forbidden" not in operator.log.read_text()
    assert "WARNING" not in operator.log.read_text()


async def test_the_report_counts_the_real_cameras(city: City, capsys: pytest.CaptureFixture[str]) -> None:
    await city.add_camera("a")
    await city.start_operator()
    await city.camera_is("a", "Pending")
    flags = ["report", "--kubeconfig", str(city.cluster.kubeconfig), "-n", city.namespace]
    assert await report.run(parser().parse_args(flags)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["CATEGORY", "DECLARED", "WORKING", "FAULTY", "UNKNOWN", "PENDING"]
    assert lines[1].split() == [city.category, "1", "0", "0", "0", "1"]


async def test_a_wrong_flag_ends_with_a_message_and_code_two(city: City) -> None:
    operator = await city.start_operator("--log-format", "xml", wait=False)
    assert await asyncio.to_thread(operator.process.wait, 30) == 2
    assert "--log-format (CAMERA_OPERATOR_LOG_FORMAT): 'xml' is not one of text, json" in operator.log.read_text()
