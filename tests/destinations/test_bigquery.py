"""What is BigQuery's own in a load: its types, and files that are sent."""

import datetime
import os
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.drift import Kind, Outcome
from connectors.errors import HostRefused, PermissionDenied, Unsupported
from connectors.quarantine import Reason
from connectors.registry import provider
from connectors.types import Contract
from tests.destinations.conftest import SCHEMA, Staged
from tests.destinations.end import End
from tests.destinations.ends import BigQuery

pytestmark = pytest.mark.parametrize("end", [BigQuery], indirect=True, ids=["bigquery"])

KINDS = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("small", pa.int16()),
        pa.field("price", pa.decimal128(12, 2)),
        pa.field("fine", pa.decimal128(38, 12)),
        pa.field("raw", pa.binary()),
        pa.field("day", pa.date32()),
        pa.field("local", pa.timestamp("us")),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("ratio", pa.float64()),
        pa.field("yes", pa.bool_()),
        pa.field("doc", pa.string(), metadata={"native": "jsonb"}),
        pa.field("größe in m", pa.string()),
    ]
)


def test_values_arrive_exactly(loader: Any, end: Any, staged: Staged) -> None:
    local = datetime.datetime.fromisoformat("2026-01-02T03:04:05.123456")
    at = datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC)
    day, fine = datetime.date(1, 1, 1), Decimal("1234567890.000000000001")
    document = '{"a": [18446744073709551615, 0.5]}'
    rows = [
        (
            2**63 - 1,
            -5,
            Decimal("-0.01"),
            fine,
            b"\x00\xff",
            day,
            local,
            at,
            0.1,
            True,
            document,
            "ü",
        ),
        (2, *[None] * 11),
        (3, 0, Decimal(0), -fine, b"", day, local, at, 5e-324, False, "1", ""),
    ]
    loader.load(staged(rows, schema=KINDS), end.target(), staged.stage)
    found = {stored[0]: stored for stored in end.rows()}
    documents = [{"a": [18446744073709551615, 0.5]}, None, 1]
    for given, document in zip(rows, documents, strict=True):
        assert found[given[0]] == (*given[:10], document, given[11])
    described = {
        f.name: f.field_type for f in end._looking.get_table(f"{end.schema}.orders").schema
    }
    assert described == {
        "id": "INTEGER", "small": "INTEGER", "price": "NUMERIC", "fine": "BIGNUMERIC",
        "raw": "BYTES", "day": "DATE", "local": "DATETIME", "at": "TIMESTAMP",
        "ratio": "FLOAT", "yes": "BOOLEAN", "doc": "JSON", "größe in m": "STRING",
    }  # fmt: skip


def test_file_of_many_pieces_arrives_whole(loader: Any, end: End, staged: Staged) -> None:
    rows = [(n, os.urandom(2**20).hex()) for n in range(12)]
    manifest = staged(rows)
    # More than the client sends at once.
    assert manifest.bytes > 10 * 2**20
    loader.load(manifest, end.target(), staged.stage)
    assert end.rows() == rows


def test_nothing_is_left_of_staging(loader: Any, end: Any, staged: Staged) -> None:
    loader.load(staged([(1, "a")]), end.target(), staged.stage)
    there = {table.table_id for table in end._looking.list_tables(end.schema)}
    assert there == {"orders", "WAREHOUSE_LOADS"}


@pytest.mark.parametrize(
    ("there", "source", "kind"),
    [
        ("NUMERIC", pa.decimal128(38, 12), Kind.WIDENED),
        ("INT64", pa.decimal128(10, 2), Kind.WIDENED),
        ("BIGNUMERIC", pa.decimal128(10, 2), Kind.NARROWED),
        ("STRING", pa.date32(), Kind.RETYPED),
        ("INT64", pa.int16(), None),
        ("NUMERIC", pa.decimal128(10, 2), None),
    ],
)
def test_difference_is_named(
    loader: Any, end: Any, there: str, source: pa.DataType, kind: Any
) -> None:
    end.execute(f"CREATE TABLE {end.schema}.orders (ID INT64, x {there})")
    schema = pa.schema([SCHEMA.field("id"), pa.field("x", source)])
    changes = loader.plan_load(schema, ("id",), end.target()).changes
    assert [change.difference.kind for change in changes] == ([kind] if kind else [])


def test_number_is_widened_and_a_required_column_takes_null(
    loader: Any, end: Any, staged: Staged
) -> None:
    end.execute(f"CREATE TABLE {end.schema}.orders (id INT64, x NUMERIC, old INT64 NOT NULL)")
    schema = pa.schema([SCHEMA.field("id"), pa.field("x", pa.decimal128(38, 12))])
    frozen = loader.plan_load(schema, ("id",), end.target(contract=Contract.FREEZE))
    assert {change.outcome for change in frozen.changes} == {Outcome.STOP}
    value = Decimal("0.000000000001")
    loader.load(staged([(1, value)], schema=schema), end.target(), staged.stage)
    assert end.rows() == [(1, value, None)]


def test_name_that_bigquery_cannot_have_is_refused(loader: Any, end: End, staged: Staged) -> None:
    schema = pa.schema([SCHEMA.field("id"), pa.field("a`; DROP TABLE x", pa.string())])
    with pytest.raises(Unsupported):
        loader.load(staged([(1, "a")], schema=schema), end.target(), staged.stage)
    with pytest.raises(Unsupported):
        loader.load(staged([(1, "a")]), end.target(table="a`b"), staged.stage)


def test_account_that_may_not_write_is_denied(end: Any, staged: Staged) -> None:
    form = end.form() | {"service_account_json": end.endpoints["bigquery"]["service_account"]}
    end.form = lambda: form
    with pytest.raises(PermissionDenied):
        end.connect().load(staged([(1, "a")]), end.target(), staged.stage)


def test_upload_goes_nowhere_that_was_not_judged(loader: Any, end: End) -> None:
    loader.has_loaded(end.target())
    for url in ("http://169.254.169.254/token", "https://example.com/upload"):
        with pytest.raises(HostRefused):
            loader._client._http.get(url)


@pytest.mark.parametrize(
    ("document", "fits"),
    [
        ("18446744073709551615", True),
        ("18446744073709551616", False),
        ("-9223372036854775808", True),
        ("-9223372036854775809", False),
        ("0.123456789012345", True),
        ("0.1234567890123456789", False),
        ("[1.10, 123456789.5]", True),
    ],
)
def test_json_of_numbers_that_would_be_rounded_is_found(
    end: End, document: str, fits: bool
) -> None:
    for native in ("json", "jsonb"):
        field = pa.field("doc", pa.string(), metadata={"native": native})
        batch = pa.RecordBatch.from_arrays([pa.array([document])], schema=pa.schema([field]))
        found = provider("bigquery").unfit(batch)
        assert [unfit.reason for unfit in found] == ([] if fits else [Reason.JSON_NUMBER])
