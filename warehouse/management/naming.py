"""How commands are told which connection or pipeline of a team is meant."""

from argparse import ArgumentParser
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db.models import Model

from warehouse.models.team import team_model

MAX_NAMES = 20
Row = TypeVar("Row", bound=Model)


def add_arguments(parser: ArgumentParser, noun: str) -> None:
    """The arguments that ``named`` takes."""
    parser.add_argument(noun, help="its id or name")
    parser.add_argument("--team", help="the team's id, where two teams use the name")


def team(team_id: str) -> Any:
    """The team of that id; raises CommandError."""
    try:
        found = team_model()._default_manager.filter(pk=team_id).first()
    except (ValidationError, ValueError):
        raise CommandError(f"{team_id} is not the id of a team.") from None
    if found is None:
        raise CommandError(f"There is no team {team_id}.")
    return found


def named(model: type[Row], noun: str, name: str, team: str | None) -> Row:
    """The team's row of that id or name; raises CommandError unless it is exactly one."""
    owned: Any = model
    rows = owned.all_teams.all() if team is None else owned.objects.for_team(team)
    try:
        by_id = rows.filter(pk=name).first()
    except ValidationError:
        by_id = None
    found: list[Row] = [by_id] if by_id else list(rows.filter(name=name)[:2])
    if not found:
        there = ", ".join(sorted(set(rows.values_list("name", flat=True)))[:MAX_NAMES])
        raise CommandError(f"There is no {noun} {name}. There are: {there or 'none'}.")
    if len(found) > 1:
        raise CommandError(f"Two teams have a {noun} {name}: say --team or give its id.")
    return found[0]
