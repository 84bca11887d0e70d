"""Log lines: one JSON object each, constant events with fields."""

import json
from typing import Any

import pytest

from tests.service.running import CHECKOUT, python

SCRIPT = """
import logging, logging.config, sys
import structlog
from service.logs import logging_config

logging.config.dictConfig(logging_config(sys.argv[1], sys.argv[2]))
log = structlog.get_logger("warehouse.connections")
log.debug("connection.looked_at", connection="c1")
log.info("connection.tested", connection="c1", status="passed")
logging.getLogger("connectors").info("warehouse.error", extra={"code": "query_timeout"})
logging.getLogger("some.library").warning("line one\\nline two %s", 7)
for quiet in ("snowflake.connector", "google.auth", "botocore.auth", "urllib3.connectionpool",
              "django.db.backends", "celery.app.trace"):
    logging.getLogger(quiet).info("statement or secret")

def fail():
    password = "in-a-local-variable"
    raise RuntimeError("broken " + str(len(password)))

try:
    fail()
except RuntimeError:
    log.exception("run.crashed", run_id="r1")
"""


def lines(level: str, style: str) -> list[str]:
    done = python("-c", SCRIPT, level, style, env={"PYTHONPATH": str(CHECKOUT)})
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.fixture(scope="module")
def events() -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in lines("DEBUG", "json")]
    return {event["event"]: event for event in found}


def test_every_line_is_an_event_with_level_logger_and_time(
    events: dict[str, dict[str, Any]],
) -> None:
    assert list(events) == [
        "connection.looked_at",
        "connection.tested",
        "warehouse.error",
        "line one\nline two 7",
        "run.crashed",
    ]
    for event in events.values():
        assert event["timestamp"].endswith("Z")
        assert event["level"]
        assert event["logger"]


def test_fields_of_either_kind_of_logger_are_members(events: dict[str, dict[str, Any]]) -> None:
    assert events["connection.tested"]["status"] == "passed"
    assert events["warehouse.error"]["code"] == "query_timeout"
    assert events["warehouse.error"]["level"] == "info"


def test_trace_has_lines_and_no_local_variables(events: dict[str, dict[str, Any]]) -> None:
    trace = events["run.crashed"]["exception"]
    assert "RuntimeError: broken 19" in trace
    assert "in-a-local-variable" not in trace


def test_drivers_are_quiet_even_when_everything_is_logged(
    events: dict[str, dict[str, Any]],
) -> None:
    assert "statement or secret" not in events


def test_level_leaves_out_what_is_below_it() -> None:
    assert len(lines("ERROR", "json")) == 1


def test_console_style_is_for_people() -> None:
    said = lines("INFO", "console")
    assert "connection.tested" in said[0]
    assert "status=passed" in said[0]
