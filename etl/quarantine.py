"""Values that cannot be carried exactly: kept with the part of a table they were read with.

They belong to a reading, and count once it is what gets loaded.
"""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q, QuerySet

from connectors.errors import QuarantineFull
from connectors.quarantine import Quarantined, Reason, full
from etl.models import PipelineRun, QuarantinedValue, Step, TableRun


def keep(table: TableRun, entries: Sequence[Quarantined], chunk: int = 0) -> None:
    """Write down what a chunk's reading took out, in place of what an earlier one did."""
    with transaction.atomic():
        table.quarantine.filter(chunk=chunk).delete()
        QuarantinedValue.objects.bulk_create(
            QuarantinedValue(
                table_run=table,
                chunk=chunk,
                key=entry.key,
                column=entry.column,
                reason=entry.reason,
                text=entry.text,
            )
            for entry in entries
        )
        table.quarantined = table.quarantine.count()
        table.save(update_fields=["quarantined"])


def judge(table: TableRun, limit: int) -> None:
    """Raises QuarantineFull when there are more values than that, in all chunks together."""
    if table.quarantine.count() > limit:
        raise full(
            [
                Quarantined(entry.key, entry.column, Reason(entry.reason), entry.text)
                for entry in table.quarantine.all()
            ],
            limit,
        )


def shown(run: PipelineRun) -> QuerySet[QuarantinedValue]:
    """The values that are NULL in the target because of this run, or that stopped it."""
    loaded = Q(table_run__step=Step.DONE)
    stopped = Q(table_run__run__error_code=QuarantineFull.code)
    return QuarantinedValue.objects.filter(loaded | stopped, table_run__run=run)
