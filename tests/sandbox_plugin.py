"""Starts the sandbox before Django reads its settings, and stops it when the tests end.

Loaded with ``-p tests.sandbox_plugin``. Each worker of pytest-xdist has a sandbox of its own, so
that no test meets another's tables; the process that hands the tests out has a small one, because
it reads Django's settings too.
"""

import os
from pathlib import Path

import pytest

from sandbox import control
from sandbox.supervisor import Sandbox

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".sandbox-test"
SERVICES = ("postgres", "redis", "s3", "snowflake", "bigquery", "redshift", "databricks")
SETTINGS_NEED = ("postgres", "redis")

_running: Sandbox | None = None


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    global _running
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    only_hands_out = early_config.known_args_namespace.numprocesses and worker == "main"
    home = HOME / worker
    os.environ["SANDBOX_HOME"] = str(home)
    for name in ("DATABASE_URL", "DATABASE_URL_FILE"):
        os.environ.pop(name, None)
    # What an earlier run left in the stand-ins must not decide how this one ends.
    control.empty(home)
    services = SETTINGS_NEED if only_hands_out else SERVICES
    _running = Sandbox(home, services=services, report=lambda line: print(line, flush=True))
    _running.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _running is not None:
        _running.stop()
