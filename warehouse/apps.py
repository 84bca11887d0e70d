"""The Django app that holds teams' connections and the way a query goes."""

from django.apps import AppConfig


class WarehouseConfig(AppConfig):
    name = "warehouse"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Refuse to start without a usable key ring: nothing is ever stored in plain text."""
        from warehouse import checks, secrets  # noqa: F401 importing registers the checks

        secrets.key_ring()
