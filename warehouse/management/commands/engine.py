"""`manage.py engine`: the embedded engine of the store, kept running until SIGTERM or Ctrl-C."""

import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from warehouse import conf
from warehouse.store.engine.home import EngineFailed
from warehouse.store.engine.keeper import Keeper


class Command(BaseCommand):
    help = "Run the store's embedded engine in STORE_PATH; a server at CLICKHOUSE_URL needs none."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if conf.clickhouse_url():
            raise CommandError("CLICKHOUSE_URL is set: the store is that server.")
        if not conf.store_path():
            raise CommandError("STORE_PATH is not set.")
        if find_spec("chdb") is None:
            raise CommandError("chdb is not installed: pip install 'warehouse-integration[engine]'")
        keeper = Keeper(Path(conf.store_path()), conf.store_memory_mb(), self.stdout.write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: keeper.end())
        try:
            keeper.keep()
        except EngineFailed as exc:
            raise CommandError(str(exc)) from None
