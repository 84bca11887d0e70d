"""`manage.py resume_pipeline NAME`: runs start again, and one that was paused goes on."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from etl import steering
from etl.management import naming


class Command(BaseCommand):
    help = "Resume a pipeline; a run that was paused goes on from what is staged, by the workers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        naming.add_arguments(parser)

    def handle(self, *args: Any, pipeline: str, team: str | None, **options: Any) -> None:
        steering.resume(naming.named(pipeline, team))
        self.stdout.write(f"{pipeline}: resumed.")
