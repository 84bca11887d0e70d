"""`manage.py cancel_run NAME`: end the run of a pipeline that waits, runs or is paused."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from connectors.errors import ConnectorError
from etl import steering
from etl.management import naming


class Command(BaseCommand):
    help = "Cancel a pipeline's last run; its workers stop within seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        naming.add_arguments(parser)

    def handle(self, *args: Any, pipeline: str, team: str | None, **options: Any) -> None:
        try:
            steering.cancel(naming.last_run(naming.named(pipeline, team)))
        except ConnectorError as exc:
            raise naming.refused(exc) from None
        self.stdout.write(f"{pipeline}: cancelled.")
