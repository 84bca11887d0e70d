"""Following Postgres tables through the server's log, as a connector does it."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from connectors.abilities import Changes, ChangeWindow, FollowChanges
from connectors.postgres import wire
from connectors.postgres.changes import ChangeLog
from connectors.postgres.extract import PostgresExtract
from connectors.types import Watermark


class PostgresFollow(PostgresExtract, FollowChanges):
    """The promises are those of ``FollowChanges``."""

    def follow(self, name: str, schema: str, table: str) -> Watermark:
        with self._change_log(name, schema, table) as log:
            return log.follow()

    def changes(self, name: str, schema: str, table: str, since: Watermark) -> Changes:
        with self._change_log(name, schema, table) as log:
            found = log.changes(since)
        return replace(found, windows=self._heard_windows(found.windows))

    def arrived(self, name: str, schema: str, table: str, upto: Watermark) -> None:
        with self._change_log(name, schema, table) as log:
            log.arrived(upto)

    def unfollow(self, name: str, schema: str, table: str) -> None:
        with self._change_log(name, schema, table) as log:
            log.unfollow()

    def retained_bytes(self, name: str, schema: str, table: str) -> int | None:
        with self._change_log(name, schema, table) as log:
            return log.retained_bytes()

    @contextmanager
    def _change_log(self, name: str, schema: str, table: str) -> Iterator[ChangeLog]:
        with self._heard(), self._session():
            label = wire.application_name(self.context.tags())
            yield ChangeLog(self._connection, name, schema, table, label)

    def _heard_windows(self, windows: Generator[ChangeWindow]) -> Generator[ChangeWindow]:
        with closing(windows):
            while True:
                with self._heard():
                    window = next(windows, None)
                if window is None:
                    break
                yield window
