"""How commands are told which pipeline is meant."""

from argparse import ArgumentParser

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from connectors.errors import ConnectorError
from etl.models import Pipeline, PipelineRun


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments that ``named`` takes."""
    parser.add_argument("pipeline", help="its id or name")
    parser.add_argument("--team", help="the team's id, where two teams use the name")


def named(name: str, team: str | None) -> Pipeline:
    """The pipeline of that id or name; raises CommandError unless it is exactly one."""
    rows = Pipeline.all_teams.all() if team is None else Pipeline.objects.for_team(team)
    try:
        by_id = rows.filter(pk=name).first()
    except ValidationError:
        by_id = None
    found = [by_id] if by_id else list(rows.filter(name=name)[:2])
    if not found:
        raise CommandError(f"There is no pipeline {name}.")
    if len(found) > 1:
        raise CommandError(f"Two teams have a pipeline {name}: say --team or give its id.")
    return found[0]


def last_run(pipeline: Pipeline) -> PipelineRun:
    """Its newest run; raises CommandError where there is none."""
    run = pipeline.runs.order_by("-created_at").first()
    if run is None:
        raise CommandError(f"{pipeline} has not run yet.")
    return run


def refused(error: ConnectorError) -> CommandError:
    """The error as a command says it."""
    faults = " ".join(error.fields.values())
    return CommandError(f"{error.code}: {error.detail} {faults or error.advice}".strip())
