"""`manage.py query CONNECTION "SELECT …"`: run a query over a connection, or show its plan."""

import base64
import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError
from rich import box
from rich.console import Console
from rich.table import Table

from connectors.errors import ConnectorError
from connectors.types import Estimate
from warehouse import query_executor
from warehouse.management import naming
from warehouse.management.screen import unmarked
from warehouse.models import WarehouseConnection
from warehouse.query_executor import Plan
from warehouse.statements import Language, Statement

MAX_SHOWN = 1_000
"""Rows of a table on a screen, which is laid out as a whole; --json has no such bound."""


class Command(BaseCommand):
    help = "Run one read-only query over a connection and print its rows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        naming.add_arguments(parser, "connection")
        parser.add_argument("sql")
        parser.add_argument(
            "--dialect",
            type=Language,
            choices=list(Language),
            default=Language.NATIVE,
            help="native is the warehouse's own SQL (default: %(default)s)",
        )
        parser.add_argument(
            "--values", type=_object, default={}, help='with hogql: {"name": value} as JSON'
        )
        parser.add_argument("--max-rows", type=int, metavar="N")
        parser.add_argument("--plan", action="store_true", help="what would be sent, and its price")
        parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")

    def handle(self, *args: Any, connection: str, **options: Any) -> None:
        found = naming.named(WarehouseConnection, "connection", connection, options["team"])
        statement = Statement(options["sql"], (), options["dialect"], options["values"])
        try:
            if options["plan"]:
                self._show_plan(query_executor.plan(found, statement), as_json=options["json"])
            else:
                self._show_rows(found, statement, options["max_rows"], as_json=options["json"])
        except ConnectorError as exc:
            # A refusal's field is its reason: a word for programs.
            reason = getattr(exc, "reason", None)
            where = [value for value in exc.fields.values() if value != reason]
            raise CommandError(
                " ".join([f"{exc.code}: {exc.detail}", *where, exc.advice])
            ) from None

    def _show_rows(
        self,
        connection: WarehouseConnection,
        statement: Statement,
        max_rows: int | None,
        *,
        as_json: bool,
    ) -> None:
        with query_executor.run(connection, statement, max_rows) as run:
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

    def _show_plan(self, plan: Plan, *, as_json: bool) -> None:
        estimate = plan.estimate
        if as_json:
            self.stdout.write(json.dumps({"sql": plan.sql} | vars(estimate), default=_plain))
            return
        self.stdout.write(f"{plan.sql}\n\n{_price(estimate)}\n{estimate.explanation}")


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
