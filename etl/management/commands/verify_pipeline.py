"""`manage.py verify_pipeline NAME`: whether the target is the source, and if not, which keys."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from connectors.errors import ConnectorError
from etl import verify
from etl.management import naming
from etl.verify import Finding, Verdict
from warehouse.management.screen import unmarked

MAX_KEYS = 20
HINT = (
    "Rows that were written since the last run differ until the next one: run the pipeline, "
    "with writers paused, and verify again."
)


class Command(BaseCommand):
    help = "Compare source and target by checksums, and say which keys differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        naming.add_arguments(parser)
        parser.add_argument(
            "--keys",
            type=_count,
            default=MAX_KEYS,
            metavar="N",
            help="how many keys that differ are told of each table (default: %(default)s)",
        )
        parser.add_argument("--json", action="store_true", help="JSON instead of a table")

    def handle(self, *args: Any, pipeline: str, team: str | None, **options: Any) -> None:
        found = naming.named(pipeline, team)
        try:
            with Console(stderr=True).status(f"Comparing {found} …"):
                verdicts = list(verify.tables(found, options["keys"]))
        except ConnectorError as exc:
            raise CommandError(f"{exc.code}: {exc.detail} {exc.advice}", returncode=2) from None
        if options["json"]:
            self.stdout.write(json.dumps([_as_json(one) for one in verdicts], indent=2))
        else:
            self._show(verdicts)
        differing = [str(one.table) for one in verdicts if not one.is_same]
        if differing:
            raise CommandError(f"Not the same: {', '.join(differing)}. {HINT}")

    def _show(self, verdicts: list[Verdict]) -> None:
        console = Console(file=cast(TextIO, self.stdout))
        overview = Table("table", "in source", "in target", "buckets that differ", "verdict")
        for one in verdicts:
            overview.add_row(
                unmarked(str(one.table)),
                f"{one.rows_in_source:,}",
                f"{one.rows_in_target:,}",
                f"{one.differing:,} of {one.buckets:,}",
                _verdict(one),
            )
        console.print(overview)
        for one in verdicts:
            if one.findings:
                console.print(_keys(one))
            for line in _notes(one):
                self.stdout.write(f"{one.table}: {line}")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ArgumentTypeError("must not be negative")
    return number


def _verdict(one: Verdict) -> str:
    if one.is_same:
        return "same"
    if not one.has_key:
        return "differs"
    return f"{'more than ' if one.is_cut else ''}{len(one.findings):,} keys differ"


def _keys(one: Verdict) -> Table:
    rows = Table("what", *(unmarked(name) for name in one.findings[0].key), "columns")
    for finding in one.findings:
        columns = ", ".join(finding.columns)
        rows.add_row(finding.kind, *map(unmarked, finding.key.values()), unmarked(columns))
    return rows


def _notes(one: Verdict) -> list[str]:
    notes = []
    if one.quarantined:
        notes.append(f"{one.quarantined:,} rows differ by values in quarantine only.")
    if one.not_compared:
        notes.append(f"not compared, for the target has none: {', '.join(one.not_compared)}.")
    if not one.has_key:
        notes.append("without a primary key it is told whether rows differ, not which.")
    return notes


def _as_json(one: Verdict) -> dict[str, Any]:
    return {
        "table": str(one.table),
        "destination_table": one.table.destination_table,
        "is_same": one.is_same,
        "rows_in_source": one.rows_in_source,
        "rows_in_target": one.rows_in_target,
        "buckets": one.buckets,
        "buckets_differing": one.differing,
        "has_key": one.has_key,
        "findings": [_finding(finding) for finding in one.findings],
        "more_differ": one.is_cut,
        "quarantined_rows": one.quarantined,
        "not_compared": list(one.not_compared),
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {"what": one.kind.value, "key": one.key, "columns": list(one.columns)}
