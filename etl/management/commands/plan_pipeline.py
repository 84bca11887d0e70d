"""`manage.py plan_pipeline NAME`: what a run would do, in sentences and SQL; then the run."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from connectors.errors import ConnectorError, SchemaChanged
from connectors.types import LoadMode
from etl import plan
from etl.management import naming
from etl.models import Pipeline, ReadMode
from etl.plan import Preview

READ: dict[str, str] = {
    ReadMode.XID: "rows that are new or changed",
    ReadMode.CURSOR: "rows that are new or changed, by a sweep",
    ReadMode.CDC: "what the source's log has",
    ReadMode.APPEND: "new rows",
}


class Command(BaseCommand):
    help = "Show what a run would read and alter, and run it when that is wanted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        naming.add_arguments(parser)
        answer = parser.add_mutually_exclusive_group()
        answer.add_argument("--yes", action="store_true", help="run it without asking")
        answer.add_argument("--dry-run", action="store_true", help="do not run it")

    def handle(self, *args: Any, pipeline: str, team: str | None, **options: Any) -> None:
        found = naming.named(pipeline, team)
        would_stop = self._show(found)
        if options["dry_run"]:
            return
        if would_stop:
            raise CommandError(f"{SchemaChanged.code}: The run would stop. {SchemaChanged.hint}")
        if options["yes"] or self._agreed():
            call_command("run_pipeline", str(found.pk), stdout=self.stdout)
        else:
            self.stdout.write("Nothing was run.")

    def _show(self, pipeline: Pipeline) -> bool:
        """Print the plan of each table; whether a run would stop at one."""
        would_stop = False
        try:
            for table in plan.tables(pipeline):
                self.stdout.write("\n".join(_lines(table)))
                would_stop |= bool(table.load.stops)
        except ConnectorError as exc:
            raise CommandError(f"{exc.code}: {exc.detail} {exc.advice}") from None
        return would_stop

    def _agreed(self) -> bool:
        self.stdout.write("Run it? [y/N] ", ending="")
        self.stdout.flush()
        try:
            return input().strip().lower() in ("y", "yes")
        except EOFError:
            return False


def _lines(of: Preview) -> list[str]:
    lines = [f"{of.table} → {of.table.destination_table}: {_read(of)}, {_loaded(of)}"]
    lines += [f"  {of.read.note}"] if of.read.note else []
    shown = len(lines)
    for column, sentence in of.load.sentences.items():
        stops = "STOP " if column in of.load.stops else ""
        lines.append(f"  {stops}{column}: {sentence}")
    # What stops is found before anything is altered.
    statements = () if of.load.stops else of.load.statements
    lines += [f"  {statement};" for statement in statements]
    return lines if len(lines) > shown else [*lines, "  The columns are the same."]


def _read(of: Preview) -> str:
    wanted = "all rows" if of.full else READ[of.table.mode]
    if of.read.cursor:
        wanted = f"rows that are new or changed by {of.read.cursor}"
    if of.read.estimated_rows is not None:
        wanted += f" (about {of.read.estimated_rows:,})"
    return f"{wanted}; all keys, for deletes" if of.compares else wanted


def _loaded(of: Preview) -> str:
    # Of a log nobody knows what it has before it is read: a truncate puts rows in place of all.
    is_log = of.table.mode == ReadMode.CDC and not of.full
    return LoadMode.MERGE if is_log else of.target.mode
