"""Values that a run could not carry exactly."""

from django.db import models

from connectors.quarantine import MAX_TEXT, Reason
from etl.models.run import TableRun


class QuarantinedValue(models.Model):
    """A value that is NULL in the target because it cannot be carried exactly.

    ``key`` is the primary key of its row, each part as text; ``text`` is the value as the source
    writes it, its beginning only where it is long. ``chunk`` is the part of the table that it was
    read with: reading that again replaces what is here of it.
    """

    table_run = models.ForeignKey(TableRun, on_delete=models.CASCADE, related_name="quarantine")
    chunk = models.PositiveIntegerField(default=0)
    key = models.JSONField()
    column = models.CharField(max_length=255)
    reason = models.CharField(max_length=20, choices=[(r.value, r.value) for r in Reason])
    text = models.CharField(max_length=MAX_TEXT)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "id"]

    def __str__(self) -> str:
        return f"{self.column} {self.reason}"
