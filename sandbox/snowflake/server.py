"""The process: listens, and stops within two seconds of being told to."""

import asyncio
import logging
import shutil
import signal
from types import FrameType

import uvicorn

from sandbox.snowflake.config import Config
from sandbox.snowflake.jobs import Jobs
from sandbox.snowflake.routes import Routes
from sandbox.snowflake.sessions import Account, Sessions
from sandbox.snowflake.statements import execute
from sandbox.snowflake.translate import mend_fakesnow

log = logging.getLogger("sandbox.snowflake")


class _Server(uvicorn.Server):
    """uvicorn's server, which cancels what runs before it waits for it."""

    def __init__(self, config: uvicorn.Config, jobs: Jobs) -> None:
        super().__init__(config)
        self._jobs = jobs

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._jobs.cancel_all()
        super().handle_exit(sig, frame)


def serve(config: Config) -> None:
    """Run until SIGTERM or SIGINT; the databases are on disk when it returns."""
    mend_fakesnow()
    shutil.rmtree(config.home / "results", ignore_errors=True)
    account = Account(config)
    jobs = Jobs(execute)
    sessions = Sessions(account)
    app = Routes(config, sessions, jobs).app()
    settings = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
    )
    # uvicorn raises the signal again once it has stopped; that must not end us before the rest.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        asyncio.run(_Server(settings, jobs).serve())
    finally:
        account.engine.close()
        log.info("server.stopped")
