"""The service's processes beside a sandbox: engine, web, worker, beat, and the sample app."""

import base64
import json
import os
import secrets
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from sandbox.files import read_json, write_json
from sandbox.guarded import Guarded
from sandbox.services.base import LOOPBACK, Process, free_port
from service.main_job.client import StepFailed

CHECKOUT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60
COMMAND_TIMEOUT_S = 120
WEB_PORT = 8000


class Stack:
    """Starts and stops processes; each is guarded, so none outlives this one."""

    def __init__(
        self, home: Path, endpoints: dict[str, Any], settings: dict[str, str] | None = None
    ) -> None:
        """``settings`` are given to the service beside those it finds in the sandbox."""
        self._home = home
        self._settings = settings or {}
        self._endpoints = endpoints
        self._port = free_port(WEB_PORT)
        self._running: dict[str, Guarded] = {}
        self.base_url = f"http://{LOOPBACK}:{self._port}"
        self.vault_key = secrets.token_bytes(32)

    def manage(self, *arguments: str) -> str:
        """Run one of the service's commands to its end; what it printed."""
        done = subprocess.run(  # noqa: S603 our own commands
            [sys.executable, "manage.py", *arguments],
            cwd=CHECKOUT,
            # Not the caller's: a DATABASE_URL there would turn this onto a real database.
            env={"PATH": os.environ.get("PATH", os.defpath), **self._environment()},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise StepFailed(f"manage.py {arguments[0]}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def start_engine(self) -> None:
        """The store's engine; told in endpoints.json, and to all that is started from now on."""
        path = self._home / "store"
        self._settings = self._settings | {"STORE_PATH": str(path)}
        endpoints = self._home / "endpoints.json"
        write_json(endpoints, read_json(endpoints) | {"store": {"path": str(path)}})
        self._start("engine", "django", "engine")

    def start_service(self) -> None:
        """Web, worker and beat; returns when the web answers."""
        bind = f"{LOOPBACK}:{self._port}"
        self._start("web", "gunicorn", "service.wsgi", "-c", "python:service.gunicorn", "-b", bind)
        self.start_worker()
        self._start("beat", "celery", "-A", "service", "beat")
        self._await_web()

    def start_worker(self) -> None:
        """A Celery worker; the one before it must have ended."""
        self._start("worker", "celery", "-A", "service", "worker", "--concurrency", "2")

    def start_vault(self) -> None:
        """The sample application's backend."""
        self._start(
            "datavault",
            "sandbox.datavault.backend.main",
            environment={
                "DATAVAULT_REDIS_URL": self._endpoints["redis"]["url"],
                "DATAVAULT_DATABASE_URL": self._endpoints["postgres"]["datavault_dsn"],
                "DATAVAULT_KEY": base64.b64encode(self.vault_key).decode(),
                "DATAVAULT_TOKEN": secrets.token_urlsafe(),
                "DATAVAULT_GRPC_ADDRESS": f"{LOOPBACK}:0",
            },
        )

    def seed(self) -> dict[str, Any]:
        """A team with a user and a token for each role; told in endpoints.json under ``api``."""
        seeded: dict[str, Any] = json.loads(self.manage("seed"))
        path = self._home / "endpoints.json"
        write_json(path, read_json(path) | {"api": {"base_url": self.base_url, **seeded}})
        return seeded

    def died(self) -> str | None:
        """The name of a process that has ended by itself."""
        return next((n for n, p in self._running.items() if p.exit_code() is not None), None)

    def stop(self) -> None:
        for process in self._running.values():
            process.let_go()
        for process in self._running.values():
            process.stop()
        self._running.clear()

    def _start(self, name: str, module: str, *arguments: str, **options: Any) -> None:
        argv = [sys.executable, "-m", module, *arguments]
        process = Process(argv, env=self._environment() | options.get("environment", {}))
        self._running[name] = Guarded(process, self._home, self._log(name))

    def _environment(self) -> dict[str, str]:
        return {
            "SANDBOX_HOME": str(self._home),
            "DJANGO_SETTINGS_MODULE": "service.settings",
            "PYTHONUNBUFFERED": "1",
            **self._settings,
        }

    def _log(self, name: str) -> Path:
        return self._home / "logs" / f"{name}.log"

    def _web_listens(self) -> bool:
        return f"Listening at: {self.base_url} " in self._log("web").read_text(errors="replace")

    def _await_web(self) -> None:
        opener, ready = build_opener(ProxyHandler({})), f"{self.base_url}/health/ready"
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if name := self.died():
                raise StepFailed(f"{name} ended: see {self._log(name)}")
            # Until then, whoever answers at that port is not ours, and not to be told a token.
            if self._web_listens():
                with suppress(URLError, OSError), opener.open(ready, timeout=2):
                    return
            time.sleep(0.1)
        raise StepFailed(f"The web does not answer: see {self._log('web')}")
