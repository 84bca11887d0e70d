"""`manage.py store_reader TEAM`: SQL for a ClickHouse server that makes a team's reader."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from connectors.errors import ConnectorError
from warehouse.models.team import team_model
from warehouse.store import grants


class Command(BaseCommand):
    help = "Print what an administrator runs at CLICKHOUSE_URL before a team queries its store."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("team", help="the team's id")

    def handle(self, *args: Any, team: str, **options: Any) -> None:
        try:
            found = team_model()._default_manager.filter(pk=team).first()
            statements = grants.of_team(found.pk) if found else []
        except (ValidationError, ValueError):
            raise CommandError(f"{team} is not the id of a team.") from None
        except ConnectorError as exc:
            raise CommandError(f"{exc.detail} {exc.advice}") from None
        if not statements:
            raise CommandError(f"There is no team {team}.")
        for statement in statements:
            self.stdout.write(f"{statement};")
