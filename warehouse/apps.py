"""The Django app that holds teams' connections and the way a query goes."""

from django.apps import AppConfig
from django.db.models.signals import post_delete


class WarehouseConfig(AppConfig):
    name = "warehouse"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Refuse to start with settings that would fail, or weaken, the first request.

        Without a usable key ring above all: nothing is ever stored in plain text.
        """
        from warehouse import access, checks, conf, connections, secrets  # noqa: F401 registers checks
        from warehouse.store.departure import drop_with_team

        post_delete.connect(drop_with_team, sender=conf.TEAM_MODEL)
        secrets.key_ring()
        access.policy()
        connections.network_policy()
