"""What a worker spends on a table, added up over attempts."""

import time
from typing import Literal

from django.db.models import F
from django.db.models.functions import Coalesce

from etl.models import TableRun


class Stopwatch:
    """Runs from the beginning on; each lap adds what has passed since the one before."""

    def __init__(self, table: TableRun, column: Literal["extract_s", "load_s"]) -> None:
        self._table = table
        self._column = column
        self._lap_at = time.monotonic()

    def lap(self) -> None:
        now = time.monotonic()
        passed, self._lap_at = now - self._lap_at, now
        TableRun.objects.filter(pk=self._table.pk).update(
            **{self._column: Coalesce(F(self._column), 0.0) + passed}
        )
