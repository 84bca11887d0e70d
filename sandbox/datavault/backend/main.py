"""The backend: store what is on the stream and answer Retrieve, until SIGTERM or Ctrl-C.

python -m sandbox.datavault.backend.main                # runs; finishes the batch in hand
python -m sandbox.datavault.backend.main --until-idle   # stores what is there and exits
python -m sandbox.datavault.backend.main --migrate      # makes the table and exits
"""

import argparse
import signal
import sys
import threading

import structlog

from sandbox.datavault.backend.retrieve import serving
from sandbox.datavault.backend.store import Store
from sandbox.datavault.backend.writer import run
from sandbox.datavault.errors import driver_errors, exit_code
from sandbox.datavault.settings import access_token, encryption_key, setting

log = structlog.get_logger()


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Move records from the stream into Postgres.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--until-idle", action="store_true", help="exit when the stream is drained")
    mode.add_argument("--migrate", action="store_true", help="make the table if missing, and exit")
    return parser.parse_args(argv)


def _migrate() -> None:
    with driver_errors(), Store(setting("DATAVAULT_DATABASE_URL")) as store:
        store.migrate()


def _until_idle(stop: threading.Event) -> None:
    redis_url, database_url = setting("DATAVAULT_REDIS_URL"), setting("DATAVAULT_DATABASE_URL")
    totals = run(redis_url, database_url, stop, until_idle=True)
    sys.stdout.write(f"{totals.stored:,} records stored, {totals.refused:,} dead letters\n")


def _serve(stop: threading.Event) -> None:
    redis_url, database_url = setting("DATAVAULT_REDIS_URL"), setting("DATAVAULT_DATABASE_URL")
    address = setting("DATAVAULT_GRPC_ADDRESS")
    # The table first: a wrong URL or password is told here, before anything is served.
    _migrate()
    with serving(database_url, encryption_key(), access_token(), address) as port:
        log.info("backend.started", grpc_port=port)
        totals = run(redis_url, database_url, stop)
    log.info("backend.stopped", stored=totals.stored, dead_letters=totals.refused)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    arguments = _arguments(argv)
    if arguments.migrate:
        return exit_code(_migrate)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    command = _until_idle if arguments.until_idle else _serve
    return exit_code(lambda: command(stop))


if __name__ == "__main__":
    sys.exit(main())
