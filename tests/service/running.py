"""The service in processes of its own, beside the database of the tests."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import requests
from django.conf import settings
from django.db import connection

from sandbox.guarded import Guarded
from sandbox.services.base import LOOPBACK, Process, free_port

CHECKOUT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30

Environment = dict[str, str]


def environment(**changed: str) -> Environment:
    """Complete settings of a service on the tests' database; ``changed`` replaces some."""
    at = connection.settings_dict
    user, password = quote(at["USER"], safe=""), quote(at["PASSWORD"], safe="")
    taken = ["SECRET_KEY", "WAREHOUSE_KEYS", *(n for n in dir(settings) if n.startswith("STAGE_"))]
    return {
        **{name: getattr(settings, name) for name in taken},
        "DATABASE_URL": f"postgresql://{user}:{password}@{at['HOST']}:{at['PORT']}/{at['NAME']}",
        "REDIS_URL": settings.CELERY_BROKER_URL,
        "WAREHOUSE_ALLOWED_PRIVATE_HOSTS": ",".join(settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS),
        "SECURE_COOKIES": "false",
        "PYTHONPATH": str(CHECKOUT),
        "PATH": "/usr/bin:/bin",
        **changed,
    }


def python(*arguments: str, env: Environment) -> "subprocess.CompletedProcess[str]":
    """This Python in the checkout, run to its end in exactly this environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT,
        env=env,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def manage(*arguments: str, env: Environment) -> "subprocess.CompletedProcess[str]":
    """One of the service's commands."""
    return python("manage.py", *arguments, env=env)


class Running:
    """A process of the service; what it printed is in ``log``."""

    def __init__(self, home: Path, module: str, *arguments: str, env: Environment) -> None:
        self.log = home / f"{module}.log"
        argv = [sys.executable, "-m", module, *arguments]
        self._guarded = Guarded(Process(argv, env), home, self.log)

    @property
    def guardian_pid(self) -> int:
        return self._guarded.guardian_pid

    def stop(self) -> None:
        self._guarded.stop()


@contextmanager
def web(home: Path, env: Environment) -> Iterator[tuple[str, Running]]:
    """The web under gunicorn with one worker process; yields its address and the process."""
    port = free_port()
    options = ["service.wsgi", "-c", "python:service.gunicorn", "-b", f"{LOOPBACK}:{port}"]
    running = Running(home, "gunicorn", *options, env=env | {"WEB_CONCURRENCY": "1"})
    try:
        address = f"http://{LOOPBACK}:{port}"
        await_answer(f"{address}/health/ready", running)
        yield address, running
    finally:
        running.stop()


def await_answer(url: str, running: Running) -> None:
    """Return once a server answers well; raises TimeoutError with its log."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise TimeoutError(running.log.read_text())
