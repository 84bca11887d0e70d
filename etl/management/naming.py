"""How commands are told which pipeline is meant."""

from argparse import ArgumentParser

from django.core.management.base import CommandError

from connectors.errors import ConnectorError
from etl.models import Pipeline, PipelineRun
from warehouse.management import naming


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments that ``named`` takes."""
    naming.add_arguments(parser, "pipeline")


def named(name: str, team: str | None) -> Pipeline:
    """The pipeline of that id or name; raises CommandError unless it is exactly one."""
    return naming.named(Pipeline, "pipeline", name, team)


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
