"""Filling tables of BigQuery, where one statement replaces a table whole.

Source: BigQuery documentation, Data definition language, CREATE TABLE.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from connectors.bigquery.credentials import BigQueryCredentials
from connectors.bigquery.jobs import CALL_TIMEOUT_S, Client, Config, Job, ended, sent, used
from connectors.bigquery.load_sql import quoted
from connectors.bigquery.parameters import query_parameters
from connectors.filling import Filling, FillTable, FillTarget
from connectors.prices import BigQueryPrices
from connectors.types import Limits, Params, RunStats

DAY = "TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)"
"""After that a table aside goes by itself."""


class BigQueryFill(FillTable):
    """The promises are those of ``FillTable``."""

    credentials: BigQueryCredentials
    prices: BigQueryPrices
    _client: Client
    _config: Callable[..., Config]

    @contextmanager
    def _filling(self, target: FillTarget, limits: Limits) -> Iterator["BigQueryFilling"]:
        config = partial(self._config, limits)
        location = self.credentials.location
        yield BigQueryFilling(self._client, location, config, limits.timeout_s, self.prices, target)


class BigQueryFilling(Filling):
    """``config`` is of a statement."""

    def __init__(
        self,
        client: Client,
        location: str | None,
        config: Callable[..., Config],
        timeout_s: float,
        prices: BigQueryPrices,
        target: FillTarget,
    ) -> None:
        super().__init__(target)
        self._client = client
        self._location = location
        self._config = config
        self._timeout_s = timeout_s
        self._prices = prices
        self._made: list[Job] = []

    def _build(self, sql: str, params: Params) -> None:
        options = f"description = '{self.target.mark}', expiration_timestamp = {DAY}"
        made = f"CREATE TABLE {self._path(self.target.aside)} OPTIONS ({options}) AS {sql}"
        self._made.append(self._run(made, params))

    def _put(self, rows: int) -> None:
        is_there = self._is_there()
        replaced = "OR REPLACE " if is_there else ""
        put = (
            f"CREATE {replaced}TABLE {self._path(self.target.table)} "
            f"OPTIONS (description = '{self.target.mark}') "
            f"AS SELECT * FROM {self._path(self.target.aside)}"
        )
        try:
            self._made.append(self._run(put))
        except Exception:
            # It has no error of its own for a name that was taken meanwhile.
            self._is_there()
            raise

    def _stats(self) -> RunStats:
        return used(self._made, self._prices)

    def _names(self) -> list[str]:
        listed = self._client.list_tables(self.target.schema, retry=None, timeout=CALL_TIMEOUT_S)
        names = [str(one.table_id) for one in listed]
        return [name for name in names if name.startswith(self.target.prefix)]

    def _comments(self, table: str) -> list[str | None]:
        from google.api_core.exceptions import NotFound

        name = f"{self.target.schema}.{table}"
        try:
            found = self._client.get_table(name, retry=None, timeout=CALL_TIMEOUT_S)
        except NotFound:
            return []
        return [found.description]

    def _count(self) -> int:
        job = self._run(f"SELECT COUNT(*) FROM {self._path(self.target.aside)}")
        ((rows,),) = (row.values() for row in job.result(retry=None, timeout=CALL_TIMEOUT_S))
        return int(rows)

    def _drop(self, table: str) -> None:
        self._run(f"DROP TABLE IF EXISTS {self._path(table)}")

    def _run(self, sql: str, params: Params | Mapping[str, Any] = ()) -> Job:
        config = self._config(query_parameters=query_parameters(params))
        job = sent(self._client, sql, config, self._location, self._timeout_s)
        ended(job, self._timeout_s)
        return job

    def _path(self, table: str) -> str:
        return quoted(self.target.schema, table)
