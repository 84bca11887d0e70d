"""What the code that runs a statement has at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlglot import exp

from sandbox.snowflake.duck import rows
from sandbox.snowflake.engine import Engine
from sandbox.snowflake.jobs import Job, Jobs
from sandbox.snowflake.names import TableName, fold
from sandbox.snowflake.sessions import Account, Session


@dataclass(frozen=True)
class Context:
    """One statement's surroundings."""

    job: Job
    jobs: Jobs

    @property
    def session(self) -> Session:
        """The session it runs in."""
        return self.job.session

    @property
    def account(self) -> Account:
        """What all sessions share."""
        return self.session.account

    @property
    def engine(self) -> Engine:
        """The account's databases."""
        return self.account.engine

    @property
    def duck(self) -> Any:
        """The session's duckdb connection."""
        return self.session.duck

    @property
    def result_folder(self) -> Path:
        """Where a large result of this statement goes."""
        return self.account.config.home / "results" / self.job.id

    def name_of(self, table: exp.Table) -> TableName:
        """Return a table's full name; raises SqlError where the session has no current place."""
        return self.session.table_name(
            fold(table.args.get("catalog")), fold(table.args.get("db")), fold(table.this) or ""
        )

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run duckdb's SQL as one step of the statement and return its rows."""
        self.job.check()
        return rows(self.duck, sql)
