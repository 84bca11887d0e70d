"""`manage.py pause_pipeline NAME`: no run starts, and one that is under way stops."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from etl import steering
from etl.management import naming


class Command(BaseCommand):
    help = (
        "Pause a pipeline; a run that is under way stops within seconds and keeps what is staged."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        naming.add_arguments(parser)

    def handle(self, *args: Any, pipeline: str, team: str | None, **options: Any) -> None:
        steering.pause(naming.named(pipeline, team))
        self.stdout.write(f"{pipeline}: paused.")
