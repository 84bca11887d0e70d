"""The parts of bqemulator that are used, put together without its own servers."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bqemulator.api.app import create_app
from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.config import Settings as EmulatorSettings
from bqemulator.domain.clock import SystemClock
from bqemulator.domain.events import EventBus
from bqemulator.jobs.upload_session_manager import UploadSessionManager
from bqemulator.observability.logging_ import configure_logging
from bqemulator.observability.metrics import MetricsRegistry
from bqemulator.row_access.policy import RowAccessPolicyManager
from bqemulator.storage import type_map
from bqemulator.udf.runtime import UDFRegistry
from bqemulator.versioning.snapshots import SnapshotManager

from sandbox.bigquery.decimals import BIGNUMERIC, keep_all_digits
from sandbox.bigquery.engine import Engine
from sandbox.bigquery.settings import Settings

# A snapshot is a whole copy of its table in memory, made after every statement that writes.
_SNAPSHOTS_PER_TABLE = 4
_RETENTION_DAYS = 7


@dataclass(frozen=True)
class Emulator:
    """The engine with its catalog, and bqemulator's web application over them."""

    context: AppContext
    engine: Engine
    app: Any

    @property
    def catalog(self) -> Any:
        return self.context.catalog


class _Table(dict[Any, Any]):
    """A dict whose listings stay whole while another thread adds to it."""

    def __iter__(self) -> Iterator[Any]:
        return iter(list(super().keys()))

    def items(self) -> Any:
        return list(super().items())

    def values(self) -> Any:
        return list(super().values())


class _Catalog(MemoryCatalogRepository):  # type: ignore[misc]  # in another environment
    """The emulator's catalog for more than one thread."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        for name, value in list(vars(self).items()):
            if isinstance(value, dict):
                setattr(self, name, _Table(value))


class _Snapshots(SnapshotManager):  # type: ignore[misc]  # in another environment
    """Keeps the newest few versions of a table for FOR SYSTEM_TIME AS OF."""

    def capture(
        self, project_id: str, dataset_id: str, table_id: str, *, kind: str = "AUTO"
    ) -> Any:
        made = super().capture(project_id, dataset_id, table_id, kind=kind)
        kept = [
            one
            for one in self._catalog.list_snapshots_for_table(project_id, dataset_id, table_id)
            if one.kind == "AUTO"
        ]
        kept.sort(key=lambda one: one.snapshot_time, reverse=True)
        for old in kept[_SNAPSHOTS_PER_TABLE:]:
            self.drop_snapshot(old)
        return made


def build(settings: Settings) -> Emulator:
    """Put an empty emulator together; no port is opened and nothing is fetched."""
    options = EmulatorSettings(
        default_project_id=settings.project,
        enable_format_extensions=False,
        metrics_enabled=False,
        time_travel_retention_days=_RETENTION_DAYS,
        upload_staging_dir=settings.folder,
        log_level="warning",
    )
    configure_logging(level=options.log_level, fmt=options.log_format)
    keep_all_digits()
    type_map._BQ_TO_DUCKDB["BIGNUMERIC"] = "DECIMAL({}, {})".format(*BIGNUMERIC)
    engine = Engine(options, settings.folder, settings.memory_limit)
    asyncio.run(engine.start())
    context = _context(options, engine)
    return Emulator(context, engine, create_app(context))


def _context(options: EmulatorSettings, engine: Engine) -> AppContext:
    clock, events, catalog = SystemClock(), EventBus(), _Catalog(engine)
    return AppContext(
        settings=options,
        clock=clock,
        engine=engine,
        catalog=catalog,
        metrics=MetricsRegistry(),
        events=events,
        udf_registry=UDFRegistry(options),
        snapshots=_Snapshots(
            engine=engine,
            catalog=catalog,
            clock=clock,
            events=events,
            retention_days=options.time_travel_retention_days,
        ),
        row_access=RowAccessPolicyManager(catalog=catalog, clock=clock),
        upload_sessions=UploadSessionManager(
            staging_dir=options.upload_staging_dir,
            max_bytes=options.upload_max_bytes,
            ttl_seconds=options.upload_session_ttl_seconds,
            clock=clock,
        ),
    )
