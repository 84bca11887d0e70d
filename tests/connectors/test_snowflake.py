"""What is Snowflake's own: tags, roles, types, estimates, cancelling."""

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector, JobContext, Limits, NetworkPolicy, connect
from connectors.errors import DataError, InvalidParameters, QueryCancelled, QueryTimeout
from tests.connectors.helpers import assert_arrives, rows_of
from tests.connectors.matrix import snowflake_session

PROVIDER = "snowflake"


def test_session_says_whom_it_works_for(
    credentials: dict[str, dict[str, Any]], loopback: NetworkPolicy, endpoints: dict[str, Any]
) -> None:
    context = JobContext(service="svc", team="t", run="r")
    form = credentials["snowflake"]
    with connect("snowflake", form, network=loopback, context=context) as own:
        result = own.query("SELECT 'tagged' AS word")
        result.read_all()
    with snowflake_session(endpoints) as cursor:
        (tag,) = cursor.execute(
            "SELECT QUERY_TAG FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY()) WHERE QUERY_ID = %s",
            (result.stats.vendor_query_id,),
        ).fetchone()
    assert json.loads(tag) == {"service": "svc", "team": "t", "run": "r"}


@pytest.mark.parametrize(
    ("sql", "kind", "value"),
    [
        ("TRUE", pa.bool_(), True),
        ("1::NUMBER(5,0)", pa.int64(), 1),
        (
            "123456789012345678901::NUMBER(38,0)",
            pa.decimal128(38, 0),
            Decimal(123456789012345678901),
        ),
        ("1.50::NUMBER(10,2)", pa.decimal128(10, 2), Decimal("1.50")),
        ("1.5::FLOAT", pa.float64(), 1.5),
        ("'x'", pa.string(), "x"),
        ("TO_BINARY('00FF', 'HEX')", pa.binary(), b"\x00\xff"),
        ("'2026-01-02'::DATE", pa.date32(), datetime.date(2026, 1, 2)),
        ("'03:04:05.000001'::TIME", pa.time64("us"), datetime.time(3, 4, 5, 1)),
        (
            "'2026-01-02 03:04:05.123456'::TIMESTAMP_NTZ",
            pa.timestamp("us"),
            datetime.datetime.fromisoformat("2026-01-02T03:04:05.123456"),
        ),
        (
            "'2026-01-02 03:04:05.123456 +0200'::TIMESTAMP_TZ",
            pa.timestamp("us", tz="UTC"),
            datetime.datetime(2026, 1, 2, 1, 4, 5, 123456, tzinfo=datetime.UTC),
        ),
        ("NULL::VARCHAR", pa.string(), None),
    ],
)
def test_value_arrives_exactly(
    connector: Connector, sql: str, kind: pa.DataType, value: Any
) -> None:
    assert_arrives(connector, sql, kind, value)


def test_variant_arrives_as_text(connector: Connector) -> None:
    found = connector.query("SELECT PARSE_JSON('{\"a\": 12345678901234567890}') AS V").read_all()
    assert found.schema.field("V").type == pa.string()
    assert json.loads(found.to_pylist()[0]["V"]) == {"a": 12345678901234567890}


def test_value_that_cannot_be_computed_is_an_error(connector: Connector) -> None:
    with pytest.raises(DataError):
        connector.query("SELECT 'x'::NUMBER AS V").read_all()
    assert rows_of(connector, "SELECT 1 AS ONE") == [(1,)]


def test_named_parameters_are_refused(connector: Connector) -> None:
    with pytest.raises(InvalidParameters):
        connector.query("SELECT ? AS V", {"a": 1})


@pytest.mark.parametrize("value", ["'; DROP TABLE t; --", "\\", "?", "%s", "é🙂", ""])
def test_value_is_a_value_whatever_it_says(connector: Connector, value: str) -> None:
    assert rows_of(connector, "SELECT CAST(? AS VARCHAR) AS V", [value]) == [(value,)]


def test_estimate_is_rough_and_a_range(connector: Connector, endpoints: dict[str, Any]) -> None:
    with snowflake_session(endpoints) as cursor:
        cursor.execute("CREATE OR REPLACE TABLE PRICED AS SELECT 1 AS A")
        estimate = connector.estimate("SELECT * FROM PRICED")
        cursor.execute("DROP TABLE PRICED")
    assert estimate.basis == "rough"
    assert estimate.bytes_scanned
    # A minute of a warehouse that this query alone wakes.
    assert estimate.cost_high == Decimal("0.066667")


def test_reading_after_cancel_ends(connector: Connector) -> None:
    with connector.query(
        "SELECT SEQ4() AS N FROM TABLE(GENERATOR(ROWCOUNT => 9))", run_id="r"
    ) as r:
        assert connector.cancel("r")
        with pytest.raises(QueryCancelled):
            list(r)
    assert rows_of(connector, "SELECT 1 AS ONE") == [(1,)]


@pytest.mark.parametrize(
    "changes", [{"role": "NOBODY"}, {"warehouse": "NO_WH"}, {"database": "NO_DB"}], ids=str
)
def test_role_warehouse_or_database_that_cannot_be_used_is_said(
    opened: Callable[..., Connector], changes: dict[str, str]
) -> None:
    failure = opened("snowflake", **changes).check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("sign in", "resource_unusable")


def test_views_are_told_from_tables(connector: Connector, endpoints: dict[str, Any]) -> None:
    with snowflake_session(endpoints) as cursor:
        cursor.execute("CREATE OR REPLACE TABLE KINDS_T (A NUMBER(5,2) NOT NULL, B VARIANT)")
        cursor.execute("CREATE OR REPLACE VIEW KINDS_V AS SELECT A FROM KINDS_T")
        tables = {t.name: t for t in connector.fetch_tables("PUBLIC") if t.name.startswith("KINDS")}
        cursor.execute("DROP VIEW KINDS_V")
        cursor.execute("DROP TABLE KINDS_T")
    assert {name: table.kind for name, table in tables.items()} == {
        "KINDS_T": "table",
        "KINDS_V": "view",
    }
    assert [(c.name, c.nullable) for c in tables["KINDS_T"].columns] == [("A", False), ("B", True)]
    assert tables["KINDS_T"].row_count == 0
    assert tables["KINDS_V"].row_count is None


def test_fraction_of_a_second_is_still_a_limit(connector: Connector) -> None:
    endless = (
        "SELECT COUNT(*) FROM TABLE(GENERATOR(ROWCOUNT => 10000000)) a, "
        "TABLE(GENERATOR(ROWCOUNT => 10000000)) b"
    )
    with pytest.raises(QueryTimeout):
        connector.query(endless, limits=Limits(timeout_s=0.2)).read_all()
