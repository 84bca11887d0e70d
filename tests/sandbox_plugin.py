"""Starts the sandbox before Django reads its settings, and stops it when the tests end.

Loaded with ``-p tests.sandbox_plugin``. Under pytest-xdist the workers use the one that the
first process started.
"""

import os
from pathlib import Path

import pytest

from sandbox import control
from sandbox.supervisor import Sandbox

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".sandbox-test"
SERVICES = ("postgres", "redis", "s3", "snowflake", "bigquery", "redshift", "databricks")

_running: Sandbox | None = None


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    global _running
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    os.environ["SANDBOX_HOME"] = str(HOME)
    for name in ("DATABASE_URL", "DATABASE_URL_FILE"):
        os.environ.pop(name, None)
    # What an earlier run left in the stand-ins must not decide how this one ends.
    control.empty(HOME)
    _running = Sandbox(HOME, services=SERVICES, report=lambda line: print(line, flush=True))
    _running.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _running is not None:
        _running.stop()
