"""The query stands in brackets within COPY, and no text of it gets out of them."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector, Limits, sql_guard
from connectors.errors import SqlRefused
from connectors.postgres.copy import copy_statement
from connectors.postgres.types import copied
from connectors.providers.postgres import Postgres
from tests.connectors.copied import Session, copy

PROVIDER = "postgres"


BENIGN = [
    ("SELECT 1 AS v;", 1),
    ("SELECT 1 AS v ; ;\n", 1),
    ("SELECT 1 AS v -- )", 1),
    ("SELECT 1 AS v; -- done )", 1),
    ("SELECT 1 AS v /* ) */", 1),
    ("-- (\nSELECT 1 AS v", 1),
    ("SELECT ')' AS v", ")"),
    ("SELECT E'\\')' AS v", "')"),
    ("SELECT $$)$$ AS v", ")"),
    ("SELECT $a$) TO PROGRAM 'x' --$a$ AS v", ") TO PROGRAM 'x' --"),
    ("SELECT '\\' AS v", "\\"),
    ("(SELECT 2 AS v) UNION ALL (SELECT 2) LIMIT 1", 2),
    ("WITH a AS (SELECT (1)) SELECT 3 AS v FROM a", 3),
    ("SELECT 4 AS v FROM (SELECT 1) AS a(b) ORDER BY (b)", 4),
]


@pytest.mark.parametrize(("sql", "value"), BENIGN)
@pytest.mark.parametrize("max_rows", [None, 5])
def test_query_may_hold_brackets_and_comments(
    connector: Connector, sql: str, value: Any, max_rows: int | None
) -> None:
    result = connector.query(sql, limits=Limits(max_rows=max_rows))
    assert result.read_all().to_pylist() == [{"v": value}]


HOSTILE = [
    "SELECT 1) TO PROGRAM 'touch {}' --",
    "SELECT 1) TO PROGRAM 'touch {}' (FORMAT BINARY) --",
    "SELECT 1) TO PROGRAM 'touch {}' /*",
    "SELECT 1) TO PROGRAM 'touch {}' WITH (FORMAT csv",
    "SELECT 1\n) TO PROGRAM 'touch {}'; COPY (SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO PROGRAM 'touch {}'",
    "SELECT 1; COPY (SELECT 1) TO PROGRAM 'touch {}';",
    "SELECT ')' ) TO PROGRAM 'touch {}' --",
    "SELECT $$($$) TO PROGRAM 'touch {}' --",
    "SELECT '(' ) TO PROGRAM 'touch {}' --'",
    "SELECT 1 AS \"(\" ) TO PROGRAM 'touch {}' --",
    "SELECT 1 /* ( */ ) TO PROGRAM 'touch {}' --",
    "SELECT 1 -- (\n) TO PROGRAM 'touch {}' --",
    "SELECT 1 /* /* ( */ ) TO PROGRAM 'touch {}' --",
    "VALUES (1)) TO PROGRAM 'touch {}' --",
    "TABLE pg_class) TO PROGRAM 'touch {}' --",
    "SELECT E'\\') TO PROGRAM ''touch {}'' --' ) TO PROGRAM 'touch {}' --",
    "SELECT 1) TO '{}' --",
    "SELECT 1) TO STDOUT; COPY (SELECT 1) TO PROGRAM 'touch {}' --",
    "pg_class TO PROGRAM 'touch {}' --",
    "SELECT 1) AS q; COPY (SELECT 1) TO PROGRAM 'touch {}' --",
    "SELECT 1) AS q OFFSET 0) AS q) TO PROGRAM 'touch {}' --",
]


@pytest.fixture
def mark() -> Iterator[Path]:
    """A file that is not there, where the server could make it."""
    with TemporaryDirectory(prefix="copied-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder) / "mark"


@pytest.fixture
def superuser(endpoints: dict[str, Any]) -> Iterator[Session]:
    """A session that may start programs, even from a read-only transaction."""
    dsn = endpoints["postgres"]["superuser_dsn"]
    with psycopg.connect(dsn, client_encoding="utf8") as found:
        found.read_only = True
        yield found


@pytest.mark.parametrize("sql", HOSTILE)
@pytest.mark.parametrize("max_rows", [None, 5])
def test_server_runs_nothing_but_the_query(
    superuser: Session, mark: Path, sql: str, max_rows: int | None
) -> None:
    """Here without the guard, which comes first and refuses all of these too."""
    hostile = sql.replace("{}", str(mark))
    with pytest.raises(SqlRefused):
        sql_guard.check(hostile, Postgres.capabilities)
    with pytest.raises((psycopg.errors.SyntaxError, SqlRefused)):
        copy(superuser, hostile, max_rows)
    assert not mark.exists()


@pytest.mark.parametrize("sql", HOSTILE)
@pytest.mark.parametrize("kind", ["int4", "interval"])
def test_statement_around_a_hostile_text_is_not_made_or_means_nothing(
    superuser: Session, mark: Path, sql: str, kind: str
) -> None:
    """Here without the cursor, on which the server itself judges the text."""
    column = copied(23 if kind == "int4" else 1186, pa.field("v", pa.string()))
    with pytest.raises((SqlRefused, psycopg.errors.SyntaxError)):
        superuser.execute(copy_statement(sql.replace("{}", str(mark)), [column]).encode())
    assert not mark.exists()


def test_superuser_could_have_done_it(superuser: Session, mark: Path) -> None:
    superuser.execute(f"COPY (SELECT 1) TO PROGRAM 'touch {mark}'".encode())
    assert mark.exists()
