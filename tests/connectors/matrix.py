"""The test matrix: one row a provider, with what its dialect and its stand-in make different."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from psycopg import conninfo

from tests import vendors
from tests.connectors import history, ten_columns
from tests.connectors.history import Watch

ROWS = 25_000
SMALL_TABLES = ("page_1", "page_10", "page_2")
Endpoints = Mapping[str, Any]
Form = dict[str, Any]
Via = Callable[[str, int], int]
"""A port of this machine's that leads to a host and port."""


@dataclass(frozen=True)
class Row:
    """How to try one provider.

    What it is tried on is a table ``numbers`` of ROWS rows: ``id`` from 1 on, and a word of 100
    characters. In a text, ``{table}`` is that table as a query names it, and ``{mark}`` a name
    that only one test uses.
    """

    provider: str
    owner: Callable[[Endpoints, Form], Form]
    """Credentials for the stand-in of somebody who may make tables."""
    pointed_at: Callable[[Form, str, int], Form]
    """Credentials that lead to another host and port."""
    with_wrong_secret: Callable[[Form], Form]
    watch: Watch
    """What the warehouse says of our statements."""
    numbers: str
    """The rows of the table: a query with ``{rows}``."""
    column_types: tuple[str, str]
    bound: tuple[tuple[str, Any], ...]
    """Statements in each placeholder style, with values that make them yield one row: 7, x'y."""
    endless: str
    """Runs for hours before its first row."""
    digest: str
    """32 characters that no compression shortens, from ``{text}``."""
    ten: str
    """A query of ``{rows}`` rows in ten columns of the common types."""
    text: str = "VARCHAR"
    """The type that text is cast to."""
    storage: str = ""
    """How the stand-in is to keep tables, for their size to be that of their rows."""
    analyze: str = ""
    """What makes the stand-in know how large the table is."""
    watched_live: bool = True
    """``watch`` works on a real account as well."""
    fold: Callable[[str], str] = str.lower
    nonsense: str = "SELECT NO_SUCH_FUNCTION(1) AS a"
    """Our guard can parse it, the warehouse cannot understand it."""
    through: Mapping[str, Callable[[Form, Via], Form]] = field(
        default_factory=lambda: {"": _host_through}
    )
    """The ways that rows come, each with credentials that lead every byte of it through ports."""

    patience: Mapping[str, float] = field(default_factory=dict)
    """Seconds in place of a bound that is too long to be waited for in a test, by its name."""

    def many(self, table: str, times: int) -> str:
        """A query of ROWS × ``times`` rows that do not compress."""
        a, b = (f"CAST({name}.id AS {self.text})" for name in "ab")
        word = self.digest.format(text=f"{a} || '-' || {b}")
        return f"SELECT a.id, {word} AS word FROM {table} a JOIN {table} b ON b.id <= {times}"

    @contextmanager
    def prepared(self, endpoints: Endpoints, form: Form, schema: str) -> Iterator[None]:
        """The schema exists, with the table and SMALL_TABLES in it."""
        with vendors.EXECUTING[self.provider](self.owner(endpoints, form)) as run:
            run(f"CREATE SCHEMA {schema}")
            try:
                with self.table(run, f"{schema}.numbers", self.storage):
                    for name in SMALL_TABLES:
                        run(f"CREATE TABLE {schema}.{name} AS {self.ten.format(rows=2)}")
                    yield
            finally:
                run(f"DROP SCHEMA {schema} CASCADE")

    @contextmanager
    def table(self, run: vendors.Execute, name: str, storage: str = "") -> Iterator[None]:
        """The table exists meanwhile, under that name."""
        run(f"CREATE TABLE {name} {storage} AS {self.numbers.format(rows=ROWS)}")
        try:
            if self.analyze:
                run(self.analyze.format(table=name))
            yield
        finally:
            run(f"DROP TABLE {name}")


def snowflake_session(endpoints: Endpoints) -> AbstractContextManager[Any]:
    """A cursor of the vendor's own client."""

    @contextmanager
    def cursor() -> Iterator[Any]:
        with vendors.snowflake(endpoints["snowflake"], network_timeout=30) as connection:
            yield connection.cursor()

    return cursor()


def _by_dsn(provider: str, dsn: str) -> Callable[[Endpoints, Form], Form]:
    def owner(endpoints: Endpoints, form: Form) -> Form:
        parts = conninfo.conninfo_to_dict(endpoints[provider][dsn])
        return form | {"user": parts["user"], "password": parts["password"]}

    return owner


def _same(endpoints: Endpoints, form: Form) -> Form:
    return form


def _bigquery_owner(endpoints: Endpoints, form: Form) -> Form:
    return form | {"service_account_json": endpoints["bigquery"]["admin_service_account"]}


def _host_at(form: Form, host: str, port: int) -> Form:
    return form | {"host": host, "port": port}


def _host_through(form: Form, via: Via) -> Form:
    return form | {"port": via(form["host"], form["port"])}


def _with_another_password(form: Form) -> Form:
    return form | {"password": "wrong-canary-4711"}


def _with_another_token(form: Form) -> Form:
    return form | {"token": "wrong-canary-4711"}


def _bigquery_at(form: Form, host: str, port: int) -> Form:
    url = f"http://{host}:{port}"
    key = form["service_account_json"] | {"token_uri": f"{url}/token"}
    return form | {
        "api_endpoint": url,
        "storage_endpoint": f"{host}:{port}",
        "service_account_json": key,
    }


def _rest_through(form: Form, via: Via) -> Form:
    """Rows as JSON: without a Storage Read API. Tokens come as they always do."""
    host, _, port = form["api_endpoint"].removeprefix("http://").partition(":")
    without = {name: value for name, value in form.items() if name != "storage_endpoint"}
    return without | {"api_endpoint": f"http://{host}:{via(host, int(port))}"}


def _storage_through(form: Form, via: Via) -> Form:
    host, _, port = form["storage_endpoint"].partition(":")
    return _rest_through(form, via) | {"storage_endpoint": f"{host}:{via(host, int(port))}"}


def _with_another_key(form: Form) -> Form:
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = form["service_account_json"] | {"private_key": pem.decode()}
    return form | {"service_account_json": json.dumps(key)}


MATRIX = (
    Row(
        provider="postgres",
        owner=_by_dsn("postgres", "datavault_dsn"),
        pointed_at=_host_at,
        with_wrong_secret=_with_another_password,
        watch=history.of_sessions,
        numbers="SELECT id, repeat('w', 100) AS word FROM generate_series(1, {rows}) AS id",
        column_types=("integer", "text"),
        bound=(
            ("SELECT %s::int AS n, %s::text AS t", [7, "x'y"]),
            ("SELECT %(n)s::int AS n, %(t)s::text AS t", {"t": "x'y", "n": 7}),
        ),
        endless="SELECT count(*) AS {mark} FROM generate_series(1, 100000000000) AS a",
        digest="md5({text})",
        ten=ten_columns.POSTGRES,
        analyze="ANALYZE {table}",
        nonsense="SELECT 1 AS a FROM pg_class QUALIFY true",
    ),
    Row(
        provider="redshift",
        owner=_by_dsn("redshift", "owner_dsn"),
        pointed_at=_host_at,
        with_wrong_secret=_with_another_password,
        watch=history.of_sessions,
        # A cluster makes no table from generate_series, which runs on its leader only.
        numbers="""WITH d AS (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3
            UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7
            UNION ALL SELECT 8 UNION ALL SELECT 9),
            i AS (SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n + 1 AS id
                  FROM d AS a, d AS b, d AS c, d, d AS e)
            SELECT id, repeat('w', 100)::varchar(100) AS word FROM i WHERE id <= {rows}""",
        column_types=("integer", "character varying(100)"),
        bound=(
            ("SELECT %s::int AS n, %s::varchar AS t", [7, "x'y"]),
            ("SELECT %(n)s::int AS n, %(t)s::varchar AS t", {"t": "x'y", "n": 7}),
        ),
        endless="SELECT count(*) AS {mark} FROM svv_columns a, svv_columns b, svv_columns c",
        digest="md5({text})",
        ten=ten_columns.POSTGRES,
        analyze="ANALYZE {table}",
        # The stand-in has its sessions where Postgres has them; a cluster has SYS_QUERY_HISTORY.
        watched_live=False,
        nonsense="SELECT 1 AS a FROM pg_class QUALIFY true",
    ),
    Row(
        provider="snowflake",
        owner=_same,
        pointed_at=_host_at,
        with_wrong_secret=_with_another_password,
        watch=history.of_snowflake,
        numbers="SELECT SEQ4() + 1 AS ID, REPEAT('w', 100) AS WORD "
        "FROM TABLE(GENERATOR(ROWCOUNT => {rows}))",
        column_types=("NUMBER(38,0)", "TEXT"),
        bound=(("SELECT CAST(? AS INT) AS n, CAST(? AS VARCHAR) AS t", [7, "x'y"]),),
        endless="SELECT COUNT(*) AS {mark} FROM TABLE(GENERATOR(ROWCOUNT => 10000000)) a, "
        "TABLE(GENERATOR(ROWCOUNT => 10000000)) b",
        digest="MD5({text})",
        ten=ten_columns.SNOWFLAKE,
        fold=str.upper,
        patience={"connectors.providers.snowflake.SOCKET_TIMEOUT_S": 8},
    ),
    Row(
        provider="bigquery",
        owner=_bigquery_owner,
        pointed_at=_bigquery_at,
        with_wrong_secret=_with_another_key,
        watch=history.of_bigquery,
        numbers="SELECT id, REPEAT('w', 100) AS word FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS id",
        column_types=("INT64", "STRING"),
        bound=(
            ("SELECT ? AS n, ? AS t", [7, "x'y"]),
            ("SELECT @n AS n, @t AS t", {"t": "x'y", "n": 7}),
        ),
        endless="SELECT COUNT(*) AS {mark} FROM UNNEST(GENERATE_ARRAY(1, 10000)) AS a "
        "CROSS JOIN UNNEST(GENERATE_ARRAY(1, 10000)) AS b "
        "CROSS JOIN UNNEST(GENERATE_ARRAY(1, 10000)) AS c WHERE MOD(a * b + c, 7) = 3",
        digest="TO_HEX(MD5({text}))",
        ten=ten_columns.BIGQUERY,
        text="STRING",
        through={"rest": _rest_through, "storage": _storage_through},
    ),
    Row(
        provider="databricks",
        owner=_same,
        pointed_at=_host_at,
        with_wrong_secret=_with_another_token,
        watch=history.of_databricks,
        numbers="SELECT id, REPEAT('w', 100) AS word FROM RANGE(1, {rows} + 1)",
        column_types=("BIGINT", "STRING"),
        bound=(
            ("SELECT ? AS n, ? AS t", [7, "x'y"]),
            ("SELECT :n AS n, :t AS t", {"t": "x'y", "n": 7}),
        ),
        endless="SELECT count(*) AS {mark} FROM range(1000000000) AS a JOIN range(1000000000) AS b "
        "ON a.id % 7 = b.id % 7 WHERE a.id * b.id % 11 = 3",
        digest="MD5({text})",
        ten=ten_columns.DATABRICKS,
        text="STRING",
        storage="USING JSON",
    ),
)
