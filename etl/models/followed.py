"""What sources keep for us: a slot for each table whose log is read."""

from django.db import models

from etl.models.pipeline import PipelineTable
from warehouse.models import WarehouseConnection


class Followed(models.Model):
    """A source table that is followed under a name, known here before anything is made there.

    Whatever becomes of the pipeline, the row stays until the source keeps nothing any more.
    """

    name = models.CharField(max_length=63, primary_key=True)
    connection = models.ForeignKey(WarehouseConnection, on_delete=models.RESTRICT, related_name="+")
    source_schema = models.CharField(max_length=255)
    source_table = models.CharField(max_length=255)
    table = models.ForeignKey(
        PipelineTable, null=True, on_delete=models.SET_NULL, related_name="followed"
    )
    retained_bytes = models.BigIntegerField(null=True, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
