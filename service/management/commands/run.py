"""`manage.py run`: everything on this machine, and the main job in front of the user."""

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from sandbox import control
from sandbox.errors import SandboxError
from sandbox.supervisor import Sandbox
from service.main_job.client import Api, StepFailed
from service.main_job.screen import Screen
from service.main_job.stack import WEB_PORT, Stack
from service.main_job.store_story import StoreStory
from service.main_job.story import RECORDS, Story, Vault

WATCH_S = 1.0


class Command(BaseCommand):
    help = "Start a fresh sandbox and the service beside it, and do the main job."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="exit after the main job")
        parser.add_argument(
            "--sandbox",
            type=control.parse_services,
            default=control.DEFAULT_SERVICES,
            metavar="SERVICES",
            help="stand-ins to start beside those of the main job: names parted by commas, or all",
        )

    def handle(self, *args: Any, once: bool, sandbox: Sequence[str], **options: Any) -> None:
        services = tuple(dict.fromkeys([*control.DEFAULT_SERVICES, *sandbox]))
        screen, home = Screen(), Path(settings.SANDBOX_HOME)
        started = time.perf_counter()
        done = False
        try:
            with control.until_interrupted():
                _run(screen, home, services, once=once, started=started)
                done = True
        except (StepFailed, SandboxError) as exc:
            raise CommandError(str(exc)) from None
        if once and not done:
            raise CommandError("Stopped before the main job was done.")


def _run(
    screen: Screen, home: Path, services: Sequence[str], *, once: bool, started: float
) -> None:
    screen.title("Sandbox")
    control.empty(home)
    with Sandbox(home, services, lambda line: screen.line(f"    {line}")) as box:
        stack = Stack(home, box.endpoints)
        if not stack.base_url.endswith(f":{WEB_PORT}"):
            screen.line(f"    port {WEB_PORT} is taken, using another")
        try:
            seeded = _start(screen, stack, box.endpoints)
            admin = seeded["users"]["admin"]
            api = Api(stack.base_url, seeded["team_id"], admin["token"])
            vault = Vault(box.endpoints["redis"]["url"], stack.vault_key)
            with screen.step("ingest records") as said:
                vault.add(screen, 0, RECORDS)
                said.append(f"{RECORDS:,} records, encrypted → Redis → Postgres")
            story = Story(screen, api, box.endpoints, vault)
            story.tell()
            StoreStory(screen, api, stack.manage, story.connections).tell(*story.moved_to())
            screen.line(f"\nThe main job is done, {time.perf_counter() - started:.0f} s in all.")
            if not once:
                _invite(screen, stack, api, admin, story)
                _stay(box, stack)
        finally:
            stack.stop()


def _start(screen: Screen, stack: Stack, endpoints: dict[str, Any]) -> dict[str, Any]:
    screen.title("Service")
    with screen.step("migrate"):
        stack.manage("migrate", "--verbosity", "0")
    with screen.step("seed") as said:
        seeded = stack.seed()
        said.append("one team: admin, analyst, viewer, a token for each")
    with screen.step("start") as said:
        stack.start_vault()
        stack.start_engine()
        stack.start_service()
        said.append(f"engine, web, worker, beat, DataVault at {stack.base_url}")
    return seeded


def _invite(screen: Screen, stack: Stack, api: Api, admin: dict[str, str], story: Story) -> None:
    screen.title("Yours to try (Ctrl-C stops everything)")
    screen.line(f"  Admin     {stack.base_url}/admin/   {admin['username']} / {admin['password']}")
    screen.line(f"  API docs  {stack.base_url}/api/docs/")
    screen.line("")
    screen.line(f"  API={stack.base_url}/api/environments")
    screen.line(f"  TEAM={api.team_id}")
    screen.line(f"  TOKEN={admin['token']}")
    screen.line("")
    auth = f"-H 'Authorization: Bearer {admin['token']}'"
    url = f"{api.root}/warehouse_connections"
    connection = f"{url}/{story.connections['snowflake']}"
    sql = '{"sql": "SELECT TENANT, COUNT(*) FROM RECORDS GROUP BY 1 ORDER BY 2 DESC LIMIT 3"}'
    body = f"-H 'Content-Type: application/json' -d '{sql}'"
    screen.line(f"  curl {auth} {url}/")
    screen.line(f"  curl {auth} {body} {connection}/estimate_cost/")
    screen.line(f"  curl {auth} {body} {connection}/query/")


def _stay(box: Sandbox, stack: Stack) -> None:
    while True:
        time.sleep(WATCH_S)
        if died := stack.died() or next(iter(box.ended()), None):
            raise StepFailed(f"{died} ended by itself: see {box.root}/logs/{died}.log")
