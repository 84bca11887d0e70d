"""`manage.py check_sql --provider P`: hold the read-only guard against a corpus of your own."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from connectors import registry, sql_guard
from connectors.errors import SqlRefused, UnknownProvider
from connectors.types import Capabilities


class Command(BaseCommand):
    help = 'Read JSON lines {"sql": …} and print {"allow", "code", "reason"} for each.'
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--provider", required=True, help="whose dialect and functions")

    def handle(self, *args: Any, provider: str, **options: Any) -> None:
        try:
            facts = registry.provider(provider).capabilities
        except UnknownProvider as exc:
            raise CommandError(f"{exc.detail} {exc.advice}") from None
        for number, line in enumerate(sys.stdin, start=1):
            if line.strip():
                sql = text_field(line, number, "sql")
                self.stdout.write(json.dumps(verdict(sql, facts)))


def text_field(line: str, number: int, *names: str) -> str:
    """The first of the fields in a JSON line; raises CommandError naming the line."""
    try:
        fields = json.loads(line)
    except ValueError:
        raise CommandError(f"Line {number} is not JSON.") from None
    found = [fields[name] for name in names if name in fields] if isinstance(fields, dict) else []
    if not found or not isinstance(found[0], str):
        raise CommandError(f"Line {number} has no text in {' or '.join(names)}.")
    return str(found[0])


def verdict(sql: str, facts: Capabilities) -> dict[str, Any]:
    """What the guard says: ``code`` is stable, ``reason`` a sentence; both empty when allowed."""
    try:
        sql_guard.check(sql, facts)
    except SqlRefused as exc:
        return {"allow": False, "code": exc.reason, "reason": exc.detail}
    return {"allow": True, "code": "", "reason": ""}
