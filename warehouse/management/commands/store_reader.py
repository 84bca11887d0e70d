"""`manage.py store_reader TEAM`: SQL for a ClickHouse server that makes a team's reader."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from connectors.errors import ConnectorError
from warehouse.management import naming
from warehouse.store import grants


class Command(BaseCommand):
    help = "Print what an administrator runs at CLICKHOUSE_URL before a team queries its store."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("team", help="the team's id")

    def handle(self, *args: Any, team: str, **options: Any) -> None:
        found = naming.team(team)
        try:
            statements = grants.of_team(found.pk)
        except ConnectorError as exc:
            raise CommandError(f"{exc.detail} {exc.advice}") from None
        for statement in statements:
            self.stdout.write(f"{statement};")
