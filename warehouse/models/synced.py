"""Tables of a connection that the team's store has."""

from django.db import models

from warehouse import conf
from warehouse.models.connection import WarehouseConnection
from warehouse.models.scope import TeamManager


class SyncedTable(models.Model):
    """A table of a warehouse as the store has it: its name there, its columns, and how fresh it is.

    It is here from its first load to its end. ``columns`` is an Arrow schema.
    """

    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    connection = models.ForeignKey(WarehouseConnection, on_delete=models.CASCADE, related_name="+")
    schema = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    store_table = models.CharField(max_length=100, unique=True)
    columns = models.TextField()
    rows = models.BigIntegerField()
    as_of = models.DateTimeField()

    all_teams = models.Manager()
    objects = TeamManager()

    class Meta:
        default_manager_name = "all_teams"
        ordering = ["connection", "schema", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "schema", "name"], name="a_synced_table_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"
