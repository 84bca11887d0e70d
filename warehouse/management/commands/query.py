"""`manage.py query [CONNECTION] "SELECT …"`: run a query over a connection, or over the store."""

import base64
import json
import logging
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError
from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table

from connectors.errors import ConnectorError
from connectors.types import Estimate
from warehouse import query_executor
from warehouse.federation.plan import HogQLPlan
from warehouse.management import naming
from warehouse.management.screen import unmarked
from warehouse.models import WarehouseConnection
from warehouse.query_executor import Plan
from warehouse.runs import Run
from warehouse.statements import Language, Statement

MAX_SHOWN = 1_000
"""Rows of a table on a screen, which is laid out as a whole; --json has no such bound."""


class Command(BaseCommand):
    help = "Run one read-only query over a connection, or the store, and print its rows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "connection", nargs="?", help="its id or name; without one, HogQL over all the team has"
        )
        parser.add_argument("--team", help="the team's id, where two teams use the name")
        parser.add_argument("sql")
        parser.add_argument(
            "--dialect",
            type=Language,
            choices=list(Language),
            help="native is the warehouse's own SQL, and the default where there is one",
        )
        parser.add_argument(
            "--values", type=_object, default={}, help='with hogql: {"name": value} as JSON'
        )
        parser.add_argument("--max-rows", type=int, metavar="N")
        parser.add_argument("--plan", action="store_true", help="what would be sent, and its price")
        parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")

    def handle(self, *args: Any, connection: str | None, **options: Any) -> None:
        if self.stderr.isatty():
            # Events would tear the waiting line apart; the query's entry has what they say.
            logging.getLogger("warehouse").setLevel(logging.WARNING)
        try:
            if connection is None:
                self._ask_all(**options)
            else:
                self._ask_warehouse(connection, **options)
        except ConnectorError as exc:
            # A refusal's field is its reason: a word for programs.
            reason = getattr(exc, "reason", None)
            where = [value for value in exc.fields.values() if value != reason]
            raise CommandError(
                " ".join([f"{exc.code}: {exc.detail}", *where, exc.advice])
            ) from None

    def _ask_warehouse(self, connection: str, **options: Any) -> None:
        found = naming.named(WarehouseConnection, "connection", connection, options["team"])
        language = options["dialect"] or Language.NATIVE
        statement = Statement(options["sql"], (), language, options["values"])
        if options["plan"]:
            with _waiting():
                plan = query_executor.plan(found, statement)
            self._show_plan(plan, as_json=options["json"])
        else:
            run = query_executor.run(found, statement, options["max_rows"])
            self._show_rows(run, as_json=options["json"])

    def _ask_all(self, **options: Any) -> None:
        if options["team"] is None:
            raise CommandError("Say which team's: --team, or name a connection.")
        if options["dialect"] == Language.NATIVE:
            raise CommandError("--dialect native is for a connection: name one.")
        asked = naming.team(options["team"]), options["sql"], options["values"]
        if options["plan"]:
            with _waiting():
                plan = query_executor.plan_hogql(*asked)
            self._show_legs(plan, as_json=options["json"])
        else:
            run = query_executor.run_hogql(*asked, options["max_rows"])
            self._show_rows(run, as_json=options["json"])

    def _show_rows(self, run: Run, *, as_json: bool) -> None:
        with run:
            with _waiting():
                run.start()
            rows = (
                row
                for batch in run
                # By place: two columns of a result may have one name.
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
            )
            if as_json:
                for row in rows:
                    self.stdout.write(
                        json.dumps(dict(zip(run.schema.names, row, strict=True)), default=_plain)
                    )
            else:
                self._show_table(run.schema, rows)
            for _ in rows:
                pass
            if not as_json:
                cut = ", cut off by a limit" if run.truncated else ""
                kept = f", kept for {run.origin.age_s:.0f} s" if run.origin.cached else ""
                self.stdout.write(f"{run.rows:,} row{'' if run.rows == 1 else 's'}{cut}{kept}")

    def _show_table(self, schema: Any, rows: Iterator[tuple[Any, ...]]) -> None:
        table = Table(box=box.SIMPLE_HEAD)
        for field in schema:
            is_number = str(field.type).startswith(("int", "uint", "float", "double", "decimal"))
            table.add_column(unmarked(field.name), justify="right" if is_number else "left")
        for row in islice(rows, MAX_SHOWN):
            table.add_row(*(unmarked(_shown(value)) for value in row))
        width = None if self.stdout.isatty() else 1_000
        Console(file=cast(TextIO, self.stdout), width=width).print(table)
        if next(rows, None) is not None:
            self.stdout.write(f"The first {MAX_SHOWN:,} rows; --json prints all of them.")

    def _show_legs(self, plan: HogQLPlan, *, as_json: bool) -> None:
        if plan.reason and not as_json:
            self.stdout.write(f"{plan.reason}\n")
        joined_in = plan.joined_in.name if plan.joined_in else None
        for leg in plan.legs:
            name = leg.connection.name if leg.connection else None
            if as_json:
                said = {
                    "mode": plan.mode,
                    "joined_in": joined_in,
                    "connection": name,
                    "sql": leg.sql,
                }
                price = vars(leg.estimate) if leg.estimate else {}
                self.stdout.write(json.dumps(said | price, default=_plain))
                continue
            self.stdout.write(f"{plan.mode}: {name or 'the store'}\n{leg.sql}")
            if leg.estimate:
                self.stdout.write(f"{_price(leg.estimate)}\n{leg.estimate.explanation}")
            self.stdout.write("")
        if joined_in is not None and not as_json:
            self.stdout.write(f"The rows of all others are sent to {joined_in}, and joined there.")

    def _show_plan(self, plan: Plan, *, as_json: bool) -> None:
        estimate = plan.estimate
        if as_json:
            self.stdout.write(json.dumps({"sql": plan.sql} | vars(estimate), default=_plain))
            return
        self.stdout.write(f"{plan.sql}\n\n{_price(estimate)}\n{estimate.explanation}")


def _waiting() -> Status:
    """A sign of life, in a terminal."""
    return Console(stderr=True).status("Waiting for an answer …")


def _price(estimate: Estimate) -> str:
    scanned = "unknown" if estimate.bytes_scanned is None else f"{estimate.bytes_scanned:,}"
    low, high = estimate.cost_low, estimate.cost_high
    money = "unknown" if low is None else f"{low:f} to {high:f} {estimate.currency}"
    return f"bytes scanned: {scanned}   cost: {money}   basis: {estimate.basis}"


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        raise ArgumentTypeError("no JSON") from None
    if not isinstance(found, dict):
        raise ArgumentTypeError("no JSON object")
    return found


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return format(value, "f") if isinstance(value, Decimal) else str(value)
