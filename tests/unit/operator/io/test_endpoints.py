import json
import logging
import sys

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from camera_operator import logs
from camera_operator.endpoints import Endpoints
from camera_operator.errors import OperatorError
from camera_operator.metrics import Metrics


async def get(port: int, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text(), response.headers["Content-Type"]


async def test_probes_say_what_is_wrong() -> None:
    trouble = {"healthy": "", "ready": "the cache is not complete yet: cameras"}
    endpoints = Endpoints(CollectorRegistry(), unhealthy=lambda: trouble["healthy"], unready=lambda: trouble["ready"])
    await endpoints.start(0)
    try:
        assert (await get(endpoints.port, "/healthz"))[:2] == (200, "ok\n")
        assert (await get(endpoints.port, "/readyz"))[:2] == (503, "the cache is not complete yet: cameras\n")
        trouble.update(healthy="reconciliation ended", ready="")
        assert (await get(endpoints.port, "/healthz"))[:2] == (503, "reconciliation ended\n")
        assert (await get(endpoints.port, "/readyz"))[:2] == (200, "ok\n")
    finally:
        await endpoints.stop()


async def test_metrics_are_prometheus_text() -> None:
    registry = CollectorRegistry()
    Gauge("a_number", "A number.", registry=registry).set(3)
    endpoints = Endpoints(registry, unhealthy=str, unready=str)
    await endpoints.start(0)
    try:
        status, text, content_type = await get(endpoints.port, "/metrics")
    finally:
        await endpoints.stop()
    assert status == 200
    assert content_type.startswith("text/plain")
    assert text == "# HELP a_number A number.\n# TYPE a_number gauge\na_number 3.0\n"


async def test_a_taken_port_is_named() -> None:
    first, second = (Endpoints(CollectorRegistry(), unhealthy=str, unready=str) for _ in range(2))
    await first.start(0)
    try:
        with pytest.raises(OperatorError, match=f"cannot listen on port {first.port}"):
            await second.start(first.port)
    finally:
        await second.stop()
        await first.stop()


def test_every_metric_has_a_help_text() -> None:
    metrics = Metrics()
    families = {family.name: family.documentation for family in metrics.registry.collect()}
    assert set(families) >= {
        "camera_operator_cameras",
        "camera_operator_faulty_cameras",
        "camera_operator_workers",
        "camera_operator_reconcile_duration_seconds",
        "camera_operator_queue_depth",
        "camera_operator_api_writes",
        "camera_operator_assignment_latency_seconds",
        "camera_operator_leader",
    }
    assert all(text.endswith(".") for text in families.values())


def record(message: str, name: str = "camera_operator.apply") -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, "file", 1, message, (), None)
    made.created = 1896091200.5
    return made


def test_text_lines_are_for_people() -> None:
    assert logs.TextFormatter().format(record("worker made")) == "2030-01-31T12:00:00.500Z INFO worker made"
    assert logs.TextFormatter().format(record("x", "kopf")) == "2030-01-31T12:00:00.500Z INFO kopf: x"


def test_json_lines_are_for_programs() -> None:
    assert json.loads(logs.JsonFormatter().format(record('a "quoted" ünit'))) == {
        "time": "2030-01-31T12:00:00.500Z",
        "level": "info",
        "logger": "camera_operator.apply",
        "message": 'a "quoted" ünit',
    }


def test_a_traceback_stays_within_its_json_line() -> None:
    made = record("failed")
    try:
        int("x")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = logs.JsonFormatter().format(made)
    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["exception"]
