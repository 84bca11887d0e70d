"""Every declared type arrives in Parquet as the server writes it, or in quarantine; docs say so."""

import datetime
import io
import re
import struct
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import NetworkPolicy, connect
from connectors.abilities import Extract
from connectors.errors import DataError, QuarantineFull
from connectors.postgres.outcomes import OUTCOMES, Outcome
from connectors.quarantine import Quarantine, Quarantined, Reason
from connectors.snowflake.sql import MAX_BYTES, TYPES, column_type
from tests.connectors.postgres_values import VALUES
from tests.connectors.reading import CHUNK_BYTES, batches_of

Owner = psycopg.Connection[Any]
DOCS = Path(__file__).resolve().parents[2] / "docs" / "types.md"

NOT_CARRIED = {
    "numeric(12,2)": "v = 'NaN'",
    "numeric(38,0)": "v = 'NaN'",
    "{schema}.price": "v = 'NaN'",
    **dict.fromkeys(
        ["date", "timestamp", "timestamptz", "{schema}.day"],
        "NOT isfinite(v) OR v < '0001-01-01' OR v >= '10000-01-01'",
    ),
}
"""Which values of a type go into quarantine, said in SQL."""


@pytest.fixture(scope="module")
def schema(owner: Owner, endpoints: dict[str, Any]) -> Iterator[str]:
    """A schema with types of its own, one with no more than text functions, one of an extension."""
    name = "every_type"
    functions = "LANGUAGE internal IMMUTABLE STRICT"
    owner.execute(f"CREATE SCHEMA {name}")
    owner.execute(
        f"""CREATE TYPE {name}.mood AS ENUM ('sad', 'o''k', 'ok', '');
        CREATE DOMAIN {name}.price AS numeric(8,2);
        CREATE DOMAIN {name}.day AS date;
        CREATE DOMAIN {name}.numbers AS int[];
        CREATE DOMAIN {name}.feeling AS {name}.mood CHECK (VALUE <> '');
        CREATE TYPE {name}.pair AS (number int, word text)"""
    )
    dsn = psycopg.conninfo.make_conninfo(
        endpoints["postgres"]["superuser_dsn"], dbname=owner.info.dbname
    )
    with psycopg.connect(dsn, autocommit=True) as server:
        server.execute(f"CREATE EXTENSION vector SCHEMA {name}")
        server.execute(
            f"""CREATE TYPE {name}.custom;
            CREATE FUNCTION {name}.custom_in(cstring) RETURNS {name}.custom
                AS 'textin' {functions};
            CREATE FUNCTION {name}.custom_out({name}.custom) RETURNS cstring
                AS 'textout' {functions};
            CREATE TYPE {name}.custom (INPUT = {name}.custom_in, OUTPUT = {name}.custom_out,
                                       LIKE = text)"""
        )
        yield name
        server.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(scope="module")
def reader(credentials: dict[str, dict[str, Any]], loopback: NetworkPolicy) -> Iterator[Extract]:
    with connect("postgres", credentials["postgres"], network=loopback) as connector:
        assert isinstance(connector, Extract)
        yield connector


def extracted(
    reader: Extract, schema: str, table: str, limit: int | None
) -> tuple[pa.Table, list[Quarantined]]:
    """A table's rows in order of ``id``, by way of Parquet, and what is in quarantine."""
    plan = reader.plan(schema, table, None, CHUNK_BYTES)
    taken = None if limit is None else Quarantine(plan.primary_key, limit)
    file = io.BytesIO()
    with pq.ParquetWriter(file, plan.columns) as writer:
        for batch in batches_of(reader, plan, taken):
            writer.write_batch(batch)
    return pq.read_table(file).sort_by("id"), taken.entries if taken else []


def as_written(value: Any) -> str | None:
    """The value as Postgres writes it, made by other means than ours."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, datetime.datetime):
        text = value.replace(tzinfo=None).isoformat(" ")
        return (text.rstrip("0") if value.microsecond else text) + ("+00" if value.tzinfo else "")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def floats(kind: pa.DataType, texts: list[str | None]) -> list[bytes | None]:
    """As bytes, so that NaN is like NaN, and -0 not like 0."""
    form = "f" if kind == pa.float32() else "d"
    return [None if text is None else struct.pack(form, float(text)) for text in texts]


def assert_arrives(reader: Extract, owner: Owner, schema: str, kind: str) -> None:
    """What the table holds of the type is in Parquet, or in quarantine, as the server writes it."""
    bad = NOT_CARRIED.get(kind, "false")
    written = owner.execute(
        f"SELECT id::text, CASE WHEN v IS DISTINCT FROM NULL THEN concat(v) END, coalesce({bad}, "
        f"false) FROM {schema}.one ORDER BY one.id"
    ).fetchall()
    table, entries = extracted(reader, schema, "one", limit=len(written))
    found, texts = table.column("v"), [None if bad else text for _, text, bad in written]
    if pa.types.is_floating(found.type):
        shown = [None if value is None else repr(value) for value in found.to_pylist()]
        assert floats(found.type, shown) == floats(found.type, texts)
    else:
        assert [as_written(value) for value in found.to_pylist()] == texts
    assert [(entry.key, entry.column, entry.text) for entry in entries] == [
        ({"id": number}, "v", text) for number, text, bad in written if bad
    ]


def fill(owner: Owner, schema: str, kind: str, values: list[str | None]) -> None:
    with owner.cursor() as cursor:
        cursor.execute(f"TRUNCATE {schema}.one")
        cursor.executemany(
            f"INSERT INTO {schema}.one VALUES (%s, %s::text::{kind.format(schema=schema)})".replace(
                "::text::", "::"
            ),
            list(enumerate(values)),
        )


@pytest.fixture
def table(request: pytest.FixtureRequest, owner: Owner, schema: str) -> Iterator[str]:
    """A table ``one`` with a column of the type; the type."""
    kind: str = request.param
    owner.execute(f"CREATE TABLE {schema}.one (id int PRIMARY KEY, v {kind.format(schema=schema)})")
    yield kind
    owner.execute(f"DROP TABLE {schema}.one")


@pytest.mark.parametrize("table", VALUES, indirect=True)
@settings(
    deadline=None,
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_values_arrive_as_the_server_writes_them(
    reader: Extract, owner: Owner, schema: str, table: str, data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.none() | VALUES[table], min_size=1, max_size=30))
    owner.execute("SET timezone TO 'UTC'")
    fill(owner, schema, table, values)
    assert_arrives(reader, owner, schema, table)


# What is declared is so, and is what docs/types.md says


EXAMPLES = [(outcome, kind) for outcome in OUTCOMES for kind in outcome.examples]


@pytest.mark.parametrize(("outcome", "kind"), EXAMPLES, ids=[kind for _, kind in EXAMPLES])
def test_type_becomes_what_is_declared(
    reader: Extract, owner: Owner, schema: str, outcome: Outcome, kind: str
) -> None:
    owner.execute(
        f"CREATE TABLE {schema}.declared (id int PRIMARY KEY, v {kind.format(schema=schema)})"
    )
    try:
        field = extracted(reader, schema, "declared", None)[0].schema.field("v")
    finally:
        owner.execute(f"DROP TABLE {schema}.declared")
    if outcome.arrow is not None:
        assert (field.type, field.metadata) == (outcome.arrow, field_of(outcome).metadata)


def test_every_declared_type_is_tried_with_values() -> None:
    # A Postgres without libxml, as the tests have it, takes no value of that type.
    assert {kind for _, kind in EXAMPLES} - VALUES.keys() == {"xml"}


def test_domain_is_what_is_below_it(reader: Extract, owner: Owner, schema: str) -> None:
    kinds = {"price": pa.decimal128(8, 2), "day": pa.date32(), "numbers": pa.string()}
    columns = ", ".join(f"{name} {schema}.{name}" for name in kinds)
    owner.execute(f"CREATE TABLE {schema}.domains (id int PRIMARY KEY, {columns})")
    found = extracted(reader, schema, "domains", None)[0].schema
    assert {name: found.field(name).type for name in kinds} == kinds


def field_of(outcome: Outcome) -> pa.Field:
    metadata = {"native": outcome.native} if outcome.native else None
    return pa.field("v", outcome.arrow, metadata=metadata)


def line(outcome: Outcome) -> str:
    """The outcome as a row of the page's table."""
    if outcome.arrow is None:
        return f"| {outcome.postgres} | as below it | as below it | {outcome.note} |"
    arrow, snowflake = str(outcome.arrow), column_type(field_of(outcome))
    if pa.types.is_decimal(outcome.arrow):
        arrow, snowflake = "decimal128(p, s)", "NUMBER(p, s)"
    elif outcome.arrow in MAX_BYTES:
        snowflake = snowflake.partition("(")[0]
    return f"| {outcome.postgres} | {arrow} | {snowflake} | {outcome.note} |"


def test_page_has_the_declared_outcomes() -> None:
    table = DOCS.read_text().split("|---|---|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == [line(outcome) for outcome in OUTCOMES]


def test_page_explains_every_reason_and_the_lengths() -> None:
    text = DOCS.read_text()
    explained = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert explained == [reason.value for reason in Reason]
    assert f"`{TYPES[pa.string()]}`, `{TYPES[pa.binary()]}`" in text


# What random values do not show


def test_settings_of_the_role_change_no_text(
    owner: Owner, endpoints: dict[str, Any], credentials: dict[str, Any], loopback: NetworkPolicy
) -> None:
    role = credentials["postgres"]["user"]
    changed = {
        "extra_float_digits": "-15",
        "timezone": "Asia/Tokyo",
        "datestyle": "German",
        "intervalstyle": "iso_8601",
        "bytea_output": "escape",
    }
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as server:
        for name, value in changed.items():
            server.execute(f"ALTER ROLE {role} SET {name} TO '{value}'")
        try:
            with connect("postgres", credentials["postgres"], network=loopback) as connector:
                row = connector.query(
                    "SELECT ARRAY[0.1::float8 + 0.2::float8], "
                    "ARRAY['2026-01-02 03:04+00'::timestamptz], "
                    "point(0.1::float8 + 0.2, 1), interval '1 mon 1 day', ARRAY['\\xff'::bytea]"
                ).read_all()
        finally:
            server.execute(f"ALTER ROLE {role} RESET ALL")
    assert [column.to_pylist() for column in row.columns] == [
        ["{0.30000000000000004}"],
        ['{"2026-01-02 03:04:00+00"}'],
        ["(0.30000000000000004,1)"],
        ["1 mon 1 day"],
        ['{"\\\\xff"}'],
    ]


NAMES = ["id", "Mixed Case", "select", 'two ""quotes""', "ünï", "semi;colon", "%s", "x" * 63]


def test_names_of_any_kind_and_columns_that_are_computed(
    reader: Extract, owner: Owner, schema: str
) -> None:
    columns = ", ".join(f'"{name}" int' for name in NAMES[1:])
    owner.execute(
        f'CREATE TABLE {schema}."Odd; Table" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, '
        f'{columns}, stored int GENERATED ALWAYS AS ("select" * 2) STORED, '
        f'"virtual" numeric(9,2) GENERATED ALWAYS AS ("select" / 2.0) VIRTUAL)'
    )
    owner.execute(f'INSERT INTO {schema}."Odd; Table" ("select", "Mixed Case") VALUES (5, 6)')
    table = extracted(reader, schema, "Odd; Table", 0)[0]
    names = [name.replace('""', '"') for name in NAMES]
    assert table.column_names == [*names, "stored", "virtual"]
    row = table.to_pylist()[0]
    assert (row["id"], row["Mixed Case"], row["stored"], row["virtual"]) == (
        1,
        6,
        10,
        Decimal("2.50"),
    )


@pytest.mark.parametrize(("allowed", "error"), [(0, QuarantineFull), (None, DataError)])
def test_extraction_that_may_take_nothing_out_stops(
    reader: Extract, owner: Owner, schema: str, allowed: int | None, error: type[Exception]
) -> None:
    owner.execute(f"CREATE TABLE {schema}.stops (id int PRIMARY KEY, v date)")
    try:
        owner.execute(f"INSERT INTO {schema}.stops VALUES (1, 'infinity')")
        with pytest.raises(error):
            extracted(reader, schema, "stops", allowed)
        owner.execute(f"UPDATE {schema}.stops SET v = NULL")
        assert extracted(reader, schema, "stops", allowed)[0].num_rows == 1
    finally:
        owner.execute(f"DROP TABLE {schema}.stops")
