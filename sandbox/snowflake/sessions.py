"""Who is signed in, and what each session has: its place, its parameters, its connection."""

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.macros import creation_sql

from sandbox.snowflake import macros
from sandbox.snowflake.bucket import Bucket
from sandbox.snowflake.config import Config, User
from sandbox.snowflake.duck import rows
from sandbox.snowflake.engine import Engine
from sandbox.snowflake.errors import LoginRefused, SqlError, no_current, not_there
from sandbox.snowflake.locks import TableLocks
from sandbox.snowflake.names import TableName, fold_text, quote
from sandbox.snowflake.parameters import Parameters
from sandbox.snowflake.statistics import Statistics
from sandbox.snowflake.transactions import Transaction


class Account:
    """What all sessions share."""

    def __init__(self, config: Config) -> None:
        """Open the databases in `config.home`."""
        self.config = config
        self.engine = Engine(config)
        self.statistics = Statistics(self.engine)
        self.locks = TableLocks()
        self.bucket = Bucket(config.storage)


class Session:
    """One signed-in client. Its statements run one after another, each holding `turn`."""

    def __init__(self, account: Account, user: User, number: int) -> None:
        """Connect for a user; place, role and warehouse are the user's defaults."""
        self.account = account
        self.user = user
        self.number = number
        self.token = secrets.token_urlsafe(32)
        self.master_token = secrets.token_urlsafe(32)
        self.role = user.role
        self.warehouse = user.warehouse
        self.parameters = Parameters()
        self.last_query_id: str | None = None
        self.last_seen = time.monotonic()
        # Temporary tables by the name Snowflake knows, and where duckdb keeps each.
        self.temporary: dict[TableName, TableName] = {}
        self.turn = threading.Lock()
        self.duck = account.engine.connect()
        rows(self.duck, _private_macros())
        self.transaction = Transaction(self.duck, self._end_transaction)
        # fakesnow's translator asks it where unqualified names live.
        self.fake = FakeSnowflakeConnection(self.duck, {}, None, None)

    @property
    def database(self) -> str | None:
        """The current database."""
        name: str | None = self.fake.database
        return name

    @property
    def schema(self) -> str | None:
        """The current schema."""
        name: str | None = self.fake.schema
        return name

    @property
    def may_write(self) -> bool:
        """Whether the roles that count in this session may change anything."""
        config = self.account.config
        names = config.roles_with([self.role, *self.user.secondary_roles])
        return any(config.roles[name] for name in names)

    @property
    def has_warehouse(self) -> bool:
        """Whether there is a current warehouse that runs, or will when it is needed."""
        resumes = self.account.config.suspended_warehouses
        return self.warehouse is not None and resumes.get(self.warehouse, True)

    def use(self, database: str | None, schema: str | None) -> None:
        """Make a schema, or a database's PUBLIC, the current one; raises SqlError for none."""
        engine = self.account.engine
        database = database or self.database
        if database is None:
            raise no_current("database", "USE SCHEMA")
        if database not in engine.databases():
            raise not_there()
        schemas = engine.schemas(database)
        if schema is not None and schema not in [*schemas, "INFORMATION_SCHEMA"]:
            raise not_there()
        chosen = schema or ("PUBLIC" if "PUBLIC" in schemas else None)
        self._place(database, chosen)

    def enter_without_schema(self, database: str) -> None:
        """Make a database current and no schema; raises SqlError for none."""
        if database not in self.account.engine.databases():
            raise not_there()
        self._place(database, None)

    def leave(self) -> None:
        """Have no current database."""
        rows(self.duck, "USE memory")
        self.fake.database = self.fake._schema = None
        self.fake.database_set = self.fake.schema_set = False

    def use_role(self, name: str) -> None:
        """Take on a role; raises SqlError for one that is not granted."""
        if name not in self.account.config.roles:
            raise not_there()
        self.role = name

    def use_warehouse(self, name: str) -> None:
        """Choose a warehouse; raises SqlError for one that is not there."""
        if name not in self.account.config.warehouses:
            raise not_there()
        self.warehouse = name

    def table_name(self, catalog: str | None, schema: str | None, table: str) -> TableName:
        """Complete a folded name with the current place; raises SqlError where there is none."""
        database = catalog or self.database
        if database is None:
            raise no_current("database", "this operation")
        schema = schema or self.schema
        if schema is None:
            raise no_current("schema", "this operation")
        return TableName(database, schema, table)

    def stored(self, table: TableName) -> TableName:
        """Return where duckdb keeps a table: temporary ones live elsewhere."""
        return self.temporary.get(table, table)

    def abort_if_idle(self) -> None:
        """Roll an abandoned transaction back, unless a statement of it runs right now."""
        if self.turn.acquire(blocking=False):
            try:
                self.transaction.abort_if_idle(self.account.config.blocked_idle_s)
            finally:
                self.turn.release()

    def close(self) -> None:
        """Roll back what is open and let go of everything; waits for a running statement."""
        with self.turn:
            self.transaction.rollback()
            self.duck.close()

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Run several duckdb statements as one, inside the open transaction if there is one."""
        if self.transaction.open:
            yield
            return
        self.duck.begin()
        try:
            yield
        except BaseException:
            self.duck.rollback()
            raise
        self.duck.commit()

    def _place(self, database: str, schema: str | None) -> None:
        stored = "_FS_INFORMATION_SCHEMA" if schema == "INFORMATION_SCHEMA" else schema
        rows(self.duck, f"USE {quote(database)}.{quote(stored or 'main')}")
        self.fake.database, self.fake._schema = database, stored
        self.fake.database_set, self.fake.schema_set = True, stored is not None

    def _end_transaction(self, touched: set[TableName]) -> None:
        self.account.locks.release(self)
        if touched:
            self.account.statistics.forget(touched)


class Sessions:
    """The sessions of one account, by token."""

    def __init__(self, account: Account) -> None:
        """Begin with nobody signed in."""
        self._account = account
        self._by_token: dict[str, Session] = {}
        self._changing = threading.Lock()
        self._opened = 0

    def open(
        self, user: User, wishes: Mapping[str, str | None], settings: Mapping[str, Any]
    ) -> Session:
        """Sign a user in. A database, schema or warehouse that is not there is just not current.

        Raises LoginRefused for a role that is not granted or a setting that cannot be obeyed.
        """
        self._close_forgotten()
        with self._changing:
            self._opened += 1
            session = Session(self._account, user, self._opened)
        try:
            self._settle(session, wishes, settings)
        except LoginRefused:
            session.close()
            raise
        with self._changing:
            self._by_token[session.token] = session
        return session

    def get(self, token: str) -> Session | None:
        """Find the session a request belongs to."""
        session = self._by_token.get(token)
        if session is not None:
            session.last_seen = time.monotonic()
        return session

    def renew(self, master_token: str) -> Session | None:
        """Give the session of this master token a new token."""
        with self._changing:
            for token, session in self._by_token.items():
                if secrets.compare_digest(session.master_token, master_token):
                    del self._by_token[token]
                    session.token = secrets.token_urlsafe(32)
                    self._by_token[session.token] = session
                    return session
        return None

    def forget(self, session: Session) -> None:
        """Accept no more requests of a session; the caller closes it."""
        with self._changing:
            self._by_token.pop(session.token, None)

    def _settle(
        self, session: Session, wishes: Mapping[str, str | None], settings: Mapping[str, Any]
    ) -> None:
        if role := wishes.get("role"):
            try:
                session.use_role(fold_text(role))
            except SqlError as error:
                raise LoginRefused(
                    "390189",
                    f"Role '{fold_text(role)}' specified in the connect string is not granted to "
                    "this user. Contact your local system administrator, or attempt to login with "
                    "another role, e.g. PUBLIC.",
                ) from error
        for name, value in settings.items():
            try:
                session.parameters.set(name, value)
            except SqlError as error:
                # Snowflake ignores settings it does not know when somebody signs in.
                if error.code != "001420":
                    raise LoginRefused(error.code, error.message) from error
        self._settle_place(session, wishes)

    @staticmethod
    def _settle_place(session: Session, wishes: Mapping[str, str | None]) -> None:
        database, schema = wishes.get("database"), wishes.get("schema")
        # As in Snowflake a place that is not there is noticed when a statement needs it.
        if warehouse := wishes.get("warehouse"):
            session.warehouse = None
            with suppress(SqlError):
                session.use_warehouse(fold_text(warehouse))
        if database:
            with suppress(SqlError):
                session.use(fold_text(database), schema and fold_text(schema))
                return
            with suppress(SqlError):
                session.enter_without_schema(fold_text(database))

    def _close_forgotten(self) -> None:
        limit = time.monotonic() - self._account.config.session_idle_s
        for session in list(self._by_token.values()):
            if session.last_seen < limit and not session.turn.locked():
                self.forget(session)
                session.close()


def _private_macros() -> str:
    """Return fakesnow's macros and ours as temporary ones: every session has them, no database."""
    fakesnow = creation_sql("x").replace("CREATE OR REPLACE MACRO x.", "CREATE TEMP MACRO ")
    return f"{fakesnow};{macros.SQL}"
