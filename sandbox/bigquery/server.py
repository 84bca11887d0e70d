"""Everything put together and served until a signal comes."""

import asyncio
import os
import signal
import sys
from typing import Any

import uvicorn

from sandbox.bigquery import app, emulator, storage_read
from sandbox.bigquery.catalog_api import CatalogApi
from sandbox.bigquery.ddl import Tables
from sandbox.bigquery.job_resource import information_schema_rows
from sandbox.bigquery.jobs import Jobs
from sandbox.bigquery.jobs_api import JobsApi
from sandbox.bigquery.metadata import Metadata
from sandbox.bigquery.passing_on import PassingOn
from sandbox.bigquery.resolve import Resolver
from sandbox.bigquery.runner import Runner
from sandbox.bigquery.settings import LOOPBACK, Settings
from sandbox.bigquery.sizes import Sizes
from sandbox.bigquery.storage_read import StorageRead
from sandbox.bigquery.tokens import Tokens

_GRACE_S = 1


class Server:
    """One stand-in in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        project = settings.project
        inner = emulator.build(settings)
        sizes = Sizes(inner.engine)
        tables = Tables(inner)
        metadata = Metadata(inner, tables, sizes, self._job_rows)
        resolver = Resolver(inner, metadata, self._result_table, project)
        runner = Runner(inner, resolver, tables, sizes, project)
        self._jobs = Jobs(runner, project, settings.running_jobs)
        passing_on = PassingOn(inner, sizes, project)
        self._web = app.build(
            Tokens(settings),
            JobsApi(self._jobs, runner, passing_on, project),
            CatalogApi(inner, metadata, tables, sizes, self._jobs, runner, passing_on, project),
            passing_on,
            project,
        )
        self._storage = StorageRead(runner, self._jobs, settings)

    def serve(self) -> None:
        """Serve both interfaces until SIGTERM or SIGINT; does not return."""
        storage = storage_read.start(self._storage, self._settings.storage_port)
        config = uvicorn.Config(
            self._web,
            host=LOOPBACK,
            port=self._settings.port,
            access_log=False,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_S,
        )
        web = uvicorn.Server(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn ends by raising the signal it was stopped with once more.
            signal.signal(number, _let_pass)
        asyncio.run(self._until_signal(web))
        storage.stop(None)
        sys.stderr.flush()
        # Nothing is on disk, and DuckDB's threads may be deep in a query.
        os._exit(0)

    async def _until_signal(self, web: uvicorn.Server) -> None:
        serving = asyncio.create_task(web.serve())
        while not serving.done() and not web.should_exit:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(self._jobs.close)
        await serving

    def _job_rows(self) -> Any:
        return information_schema_rows(self._settings.project, self._jobs.newest_first())

    def _result_table(self, *which: Any) -> Any:
        return self._jobs.result_table(*which)


def _let_pass(number: int, frame: Any) -> None:
    """Outlive a signal that has been obeyed already."""
