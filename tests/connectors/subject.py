"""One provider under test, on its stand-in or on a real account."""

from dataclasses import dataclass
from typing import Any

import pytest

from connectors import Connector, JobContext, NetworkPolicy, connect
from tests.connectors.matrix import SMALL_TABLES, Form, Row


@dataclass(frozen=True)
class Subject:
    """A provider, credentials for it, and the table that Row describes."""

    row: Row
    schema: str
    name: str
    form: Form
    network: NetworkPolicy
    live: bool = False

    @property
    def table(self) -> str:
        """The table as a query names it."""
        return f"{self.schema}.{self.name}"

    @property
    def tables(self) -> list[str]:
        """The names of all tables that the tests have made in the schema, as bytes compare."""
        return [self.name] if self.live else sorted([self.name, *map(self.row.fold, SMALL_TABLES)])

    def connector(self, form: Form | None = None, **options: Any) -> Connector:
        return connect(self.row.provider, form or self.form, **{"network": self.network, **options})

    def tagged(self, run: str, form: Form | None = None) -> Connector:
        """A connector whose statements the warehouse's history can tell from others."""
        return self.connector(form, context=JobContext(team="acme", run=run))

    def at(self, host: str, port: int) -> Form:
        return self.row.pointed_at(self.form, host, port)

    def endless(self, mark: str) -> str:
        return self.row.endless.format(mark=mark)

    def many(self, times: int) -> str:
        return self.row.many(self.table, times)

    def needs_sandbox(self, why: str) -> None:
        """Skip the test on a real account."""
        if self.live:
            pytest.skip(f"{why}: only in the sandbox")
