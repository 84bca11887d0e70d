"""What one might try through HogQL: another's tables, the warehouse's own, a way out of text."""

from typing import Any

import pyarrow as pa
import pytest
from sqlglot.dialects.dialect import Dialect

from connectors import registry, sql_guard
from connectors.errors import SqlRefused
from connectors.postgres import wire
from connectors.types import Capabilities, Column, Table
from tests.hogql.conftest import PROVIDERS, OpenOne
from tests.hogql.engines import of_connector
from tests.hogql.shop import CATALOG, table
from warehouse.hogql.catalog import Catalog
from warehouse.hogql.errors import HogQLError
from warehouse.hogql.functions.table import DIALECTS
from warehouse.hogql.translate import translate

TEXTS = [
    "x' OR '1'='1",
    "x\\' OR 1=1 --",
    "x\\\\' OR 1=1 --",
    "'; DROP TABLE events; --",
    "/* */ */ /*",
    "-- \n; SELECT 1",
    '"quoted" `ticked` $$dollar$$ $tag$',
    "%s %(a)s ? :a @a {a} {{a}} $1 %%",
    "‘curly’ ＇wide＇ ʼmodifierʼ \u2028 \u2029 \u00a0",
    "\t\r\n\\t\\r\\n",
    "\U0001f980 é ß İ",
    "\\",
    "''",
    "",
]

REFUSED = [
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_authid",
    "SELECT * FROM pg_authid",
    "SELECT * FROM system.users",
    "SELECT * FROM other.public.events",
    "SELECT * FROM db.secret.events",
    'SELECT * FROM "db.public.events"',
    'SELECT * FROM "public"."events; DROP TABLE events"',
    "SELECT * FROM `public.events`",
    "SELECT * FROM url('http://169.254.169.254/', 'CSV')",
    "SELECT * FROM file('/etc/passwd')",
    "SELECT * FROM remote('h', 'd', 't')",
    "SELECT * FROM (SELECT * FROM pg_shadow)",
    "WITH events AS (SELECT * FROM pg_shadow) SELECT * FROM events",
    "SELECT file('/etc/passwd')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_sleep(10)",
    "SELECT dictGet('d', 'a', 1)",
    "SELECT joinGet('j', 'a', 1)",
    "SELECT currentUser()",
    "SELECT version()",
    "SELECT getSetting('x')",
    "SELECT hostName()",
    "SELECT throwIf(1)",
    "SELECT sleep(3)",
    "SELECT query_to_xml('SELECT 1')",
    "SELECT system$type(1)",
    "SELECT * APPLY(file) FROM events",
    "SELECT id FROM events WHERE id IN (SELECT 1 FROM pg_shadow)",
    "SELECT id FROM events UNION ALL SELECT 1 FROM pg_shadow",
    "SELECT xmin FROM events",
    "SELECT ctid FROM events",
    "SELECT events FROM events",
    "SELECT id FROM events; DELETE FROM events",
    "DELETE FROM events",
    "INSERT INTO events SELECT 1",
    "SELECT 1 INTO t FROM events",
    "EXPLAIN SELECT 1",
    "SET x = 1",
    "SELECT {x}",
    "SELECT {{x}}",
    "SELECT id FROM events WHERE name = {filters}",
    "SELECT 'a' FROM events WHERE name = ‘x’",
    "SELECT `id` FROM events WHERE 1 = 1 -- \n OR 1 = 1 SETTINGS readonly = 0",
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_in_the_catalog_or_the_table_of_functions_does_not_exist(
    text: str, dialect: str
) -> None:
    with pytest.raises(HogQLError):
        translate(text, CATALOG, dialect, {"id": 1} if "{id}" in text else {})


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_text_is_what_it_is_as_a_literal_and_as_a_value(
    opened_bare: OpenOne, provider: str
) -> None:
    run = of_connector(opened_bare(provider), Catalog(()))
    literals = ", ".join(f"'{_written(text)}' AS l{n}" for n, text in enumerate(TEXTS))
    values = ", ".join(f"{{v{n}}} AS p{n}" for n in range(len(TEXTS)))
    given = {f"v{n}": text for n, text in enumerate(TEXTS)}
    (row,) = run(f"SELECT {literals}, {values}", given)
    assert list(row) == [*TEXTS, *TEXTS]


def _written(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "name",
    ['a"b', "a`b", "a'b", "a b", "a;b", "a--b", "a/*b", "select", "a.b", "É", "a%sb", "a%b", "a?b"],
)
def test_odd_names_of_columns_and_aliases_reach_the_guard_quoted(provider: str, name: str) -> None:
    facts = registry.provider(provider).capabilities
    odd = Table("db", "s", "t", "table", (Column(name, "bigint", True, 1, pa.int64()),))
    written = name.replace('"', '""')
    text = f'SELECT "{written}" AS "x{written}" FROM t WHERE "{written}" > {{a}}'
    printed = translate(text, Catalog.of("acme", [odd]), facts.dialect, {"a": 1})
    sql, params = printed.sql, printed.params
    if "%(" in sql:
        sql, params = wire.bound(sql, params)
    refused = _reason(sql, facts)
    if refused:
        # A name that the warehouse could read in two ways is refused, not guessed at.
        assert refused in ("ambiguous", "unparseable"), sql
        return
    assert len(params) == 1
    own = Dialect.get_or_raise(facts.dialect).tokenize(sql)
    assert [one.text for one in own].count(name) == 2


def _reason(sql: str, facts: Capabilities) -> str:
    try:
        sql_guard.check(sql, facts)
    except SqlRefused as exc:
        return exc.reason
    return ""


def test_another_teams_table_is_no_table() -> None:
    mine = Catalog.of("acme", [table("public", "mine", id=pa.int64())])
    with pytest.raises(HogQLError) as caught:
        translate("SELECT id FROM public.events", mine, "postgres")
    assert caught.value.code == "hogql_unknown_name"
    assert "events" not in caught.value.advice


def test_an_error_says_nothing_of_values() -> None:
    secret: dict[str, Any] = {"who": "hunter2"}
    with pytest.raises(HogQLError) as caught:
        translate("SELECT 1 FROM events WHERE id = {who}", CATALOG, "postgres", secret)
    assert "hunter2" not in f"{caught.value.detail}{caught.value.advice}{caught.value.fields}"
