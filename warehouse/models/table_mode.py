"""Tables that are asked for in another way than their connection says."""

from django.db import models

from warehouse import conf
from warehouse.models.connection import ConnectionMode, WarehouseConnection
from warehouse.models.scope import TeamManager


class TableMode(models.Model):
    """A table's own mode, ``direct`` or ``hybrid``, in place of its connection's.

    That a table is in sync is not said here: a pipeline that fills it in the store says so.
    """

    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    connection = models.ForeignKey(WarehouseConnection, on_delete=models.CASCADE, related_name="+")
    schema = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    mode = models.CharField(max_length=10, choices=ConnectionMode)

    all_teams = models.Manager()
    objects = TeamManager()

    class Meta:
        default_manager_name = "all_teams"
        ordering = ["schema", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "schema", "name"], name="one_mode_of_a_table"
            ),
            models.CheckConstraint(
                condition=models.Q(mode__in=[ConnectionMode.DIRECT, ConnectionMode.HYBRID]),
                name="own_mode_is_no_sync",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}: {self.mode}"
