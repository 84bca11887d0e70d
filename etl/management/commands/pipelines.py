"""`manage.py pipelines [NAME]`: how every pipeline stands; with a name, what its runs did."""

import json
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.table import Table

from etl import history
from etl.management import naming
from etl.management.figures import UNKNOWN, moment, size, span
from etl.models import Pipeline

Row = Mapping[str, Any]

WIDTH = 1000
"""A line is as long as it has to be, in a pipe too."""


class Command(BaseCommand):
    help = "List the pipelines with state, lag and last run; with a name, the runs of one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("pipeline", nargs="?", help="its id or name: show its runs")
        parser.add_argument("--team", help="the team's id")
        parser.add_argument("--limit", type=int, default=20, help="at most so many runs")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(
        self, *args: Any, pipeline: str | None, team: str | None, limit: int, **options: Any
    ) -> None:
        if pipeline is None:
            mine = Pipeline.all_teams.all() if team is None else Pipeline.objects.for_team(team)
            rows = list(history.overview(mine.order_by("team_id", "name")))
            table = _overview(rows)
        else:
            rows = list(history.runs(naming.named(pipeline, team), max(1, limit)))
            table = _runs(rows)
        if options["json"]:
            self.stdout.write(json.dumps(rows, cls=DjangoJSONEncoder, indent=1))
            return
        console = Console(markup=False, highlight=False, width=WIDTH)
        with console.capture() as said:
            console.print(table)
        self.stdout.write("\n".join(line.rstrip() for line in said.get().splitlines()))


def _overview(rows: Iterable[Row]) -> Table:
    table = _table("pipeline", "state", "lag", "last run", "status", "took", "rows", "error")
    for row in rows:
        last = row["last_run"] or {}
        table.add_row(
            row["name"],
            row["state"],
            span(row["lag_s"]),
            moment(last.get("created_at")),
            last.get("status", ""),
            span(last["duration_s"]) if last else "",
            f"{last['rows']:,}" if last else "",
            last.get("error_code", ""),
        )
    return table


def _runs(rows: Iterable[Row]) -> Table:
    table = _table(
        *("run", "status", "took", "attempts", "table", "step", "extract", "load", "rows"),
        *("bytes", "cost", "error"),
    )
    for row in rows:
        begin = (moment(row["created_at"]), row["status"], span(row["duration_s"]))
        for number, part in enumerate(row["tables"]):
            first = (*begin, str(row["attempts"])) if number == 0 else ("", "", "", "")
            table.add_row(
                *first,
                part["table"],
                part["step"],
                span(part["extract_s"]),
                span(part["load_s"]),
                f"{part['rows']:,}",
                size(part["bytes_staged"]),
                _cost(part["cost"]),
                row["error_code"] if number == 0 else "",
            )
    return table


def _cost(cost: Mapping[str, str] | None) -> str:
    if cost is None:
        return UNKNOWN
    return f"{cost['low']} to {cost['high']} {cost['currency']} ({cost['basis']})"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True)
    return table
