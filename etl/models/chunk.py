"""The ledger: which part of a table is read, by whom, and which files hold it."""

from django.db import models

from etl.models.run import TableRun


class ChunkState(models.TextChoices):
    """Only ``staged`` survives its reader."""

    WAITING = "waiting"
    READING = "reading"
    STAGED = "staged"


class Chunk(models.Model):
    """A part of a table in one run. Its files are those of the attempt that staged it.

    ``claim`` is the fencing number of who reads it. ``order`` numbers the snapshot it is read in,
    among the table's. One that ``catches_up`` holds what was written since another chunk of the
    run was read: after the watermark ``since``, while the others hold what the plan says. One of
    ``keys`` has the primary keys of all rows there, and nothing else.
    """

    table = models.ForeignKey(TableRun, on_delete=models.CASCADE, related_name="ledger")
    number = models.PositiveIntegerField()
    bounds = models.JSONField()
    since = models.JSONField(null=True)
    catches_up = models.BooleanField(default=False)
    keys = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=ChunkState, default=ChunkState.WAITING)
    claim = models.BigIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    order = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    rows = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    files = models.JSONField(default=list)
    error_code = models.CharField(max_length=50, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["table", "number"], name="a_chunk_once_per_table_run"),
        ]

    def __str__(self) -> str:
        return f"{self.table} chunk {self.number} {self.state}"
