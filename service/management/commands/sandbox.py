"""manage.py sandbox up|down|status"""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sandbox import control
from sandbox.errors import SandboxError
from sandbox.state import table

_DEFAULT = ",".join(control.DEFAULT_SERVICES)


class Command(BaseCommand):
    """Start, stop and show the stand-ins of the outside world."""

    help = "Start, stop and show the sandbox: Postgres, Redis, S3 and the warehouses' stand-ins."
    # The checks look at databases, which the sandbox is about to start.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Define what the command line takes."""
        parser.add_argument("action", choices=("up", "down", "status"))
        parser.add_argument(
            "--root",
            type=Path,
            default=getattr(settings, "SANDBOX_HOME", control.DEFAULT_ROOT),
            help="folder for data, logs and endpoints.json (default: %(default)s)",
        )
        parser.add_argument(
            "--services",
            type=control.parse_services,
            default=control.DEFAULT_SERVICES,
            help=f"names parted by commas, or all (default: {_DEFAULT})",
        )
        parser.add_argument(
            "--detach", action="store_true", help="up: return when all is healthy and keep it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what was asked; any failure is one clear message and exit status 1."""
        root, services = options["root"], options["services"]
        try:
            if options["action"] == "status":
                self._status(root)
            elif options["action"] == "down":
                control.down(root, self._report)
            elif options["detach"]:
                control.up_detached(root, services, self._report)
            else:
                control.up(root, services, self._report, lambda: self._report("Ctrl-C stops it."))
        except SandboxError as error:
            raise CommandError(str(error)) from error

    def _status(self, root: Path) -> None:
        states = control.status(root)
        if not states:
            raise CommandError(f"No sandbox runs in {root}.")
        self._report(table(states))
        if ended := [state.service for state in states if state.state == "ended"]:
            raise CommandError(f"Ended by itself: {', '.join(ended)}.")

    def _report(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
