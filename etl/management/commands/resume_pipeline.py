"""`manage.py resume_pipeline NAME`: runs start again, and one that was paused goes on."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from kombu.exceptions import OperationalError

from etl import steering
from etl.management import naming


class Command(BaseCommand):
    help = "Resume a pipeline; workers go on with a run that was paused, from what is staged."

    def add_arguments(self, parser: ArgumentParser) -> None:
        naming.add_arguments(parser)

    def handle(self, *args: Any, pipeline: str, team: str | None, **options: Any) -> None:
        try:
            steering.resume(naming.named(pipeline, team))
        except OperationalError:
            # It is resumed; beat finds the run that workers could not be told of.
            self.stderr.write("The workers' queue does not answer: a run goes on once it does.")
        self.stdout.write(f"{pipeline}: resumed.")
