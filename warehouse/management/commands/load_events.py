"""`manage.py load_events FILE --team ID`: events, or persons, of a file into a team's store."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from connectors.errors import ConnectorError
from warehouse.events import loading
from warehouse.events.loading import Loaded
from warehouse.management import naming
from warehouse.management.screen import unmarked


class Command(BaseCommand):
    help = "Load a file of events (JSON lines, also as .gz, or .parquet) into a team's store."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--team", required=True, help="the team's id")
        parser.add_argument("--persons", action="store_true", help="the file has persons")
        parser.add_argument(
            "--skip-bad", action="store_true", help="leave out lines that cannot be taken"
        )

    def handle(self, *args: Any, file: Path, team: str, skip_bad: bool, **options: Any) -> None:
        found = naming.team(team)
        load = loading.load_persons if options["persons"] else loading.load_events
        try:
            with _Bar(file) as bar:
                loaded = load(found.pk, file, bar.show, skip_bad=skip_bad)
        except ConnectorError as exc:
            raise CommandError(f"{exc.code}: {exc.detail} {exc.advice}") from None
        for line in loaded.told:
            self.stdout.write(unmarked(line))
        noun = "persons" if options["persons"] else "events"
        left_out = f", {loaded.bad:,} bad lines left out" if skip_bad else ""
        self.stdout.write(f"{loaded.rows:,} {noun} loaded{left_out}.")


class _Bar:
    """How much of the file has been loaded, in bytes."""

    def __init__(self, file: Path) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeElapsedColumn(),
        )
        size = file.stat().st_size if file.is_file() else 0
        self._task = self._progress.add_task(unmarked(file.name), total=size, pace="")

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def show(self, loaded: Loaded) -> None:
        elapsed = self._progress.tasks[0].elapsed or 0
        pace = f"{loaded.rows / elapsed:,.0f} rows/s" if elapsed else ""
        self._progress.update(self._task, completed=loaded.position, pace=pace)
