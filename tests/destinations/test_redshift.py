"""What is Redshift's own in a load: its types, what it cannot alter, and the role."""

import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.drift import Kind, Outcome
from connectors.errors import DataError, PermissionDenied, ResourceUnusable, SchemaChanged
from connectors.loading import stagings
from connectors.quarantine import Reason
from connectors.redshift import sql as statements
from connectors.registry import provider
from connectors.types import Contract, LoadMode
from tests.destinations.conftest import SCHEMA, Staged
from tests.destinations.end import End
from tests.destinations.ends import Redshift

pytestmark = pytest.mark.parametrize("end", [Redshift], indirect=True, ids=["redshift"])

KINDS = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("small", pa.int16()),
        pa.field("price", pa.decimal128(38, 10)),
        pa.field("cents", pa.decimal128(9, 2)),
        pa.field("raw", pa.binary()),
        pa.field("day", pa.date32()),
        pa.field("local", pa.timestamp("us")),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("ratio", pa.float64()),
        pa.field("rough", pa.float32()),
        pa.field("yes", pa.bool_()),
        pa.field("doc", pa.string(), metadata={"native": "jsonb"}),
        pa.field("Mixed % Case", pa.string()),
    ]
)


def test_values_arrive_exactly_in_types_that_need_not_grow(
    loader: Any, end: Any, staged: Staged
) -> None:
    local = datetime.datetime.fromisoformat("2026-01-02T03:04:05.123456")
    at = datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC)
    price = Decimal("9999999999999999999999999999.0000000001")
    raw, day, text = bytes(range(256)), datetime.date(1, 1, 1), "ünï\n'\"\\\t%s"
    document = '{"a": [12345678901234567890, 0.10]}'
    row = (2**63 - 1, -(2**15), price, Decimal("0.01"), raw, day, local, at)
    rows = [
        (*row, 0.1, 0.5, True, document, text),
        (2, *[None] * 12),
        (3, 0, -price, Decimal("-9999999.99"), b"", day, local, at, 5e-324, -0.0, False, "1", ""),
    ]
    loader.load(staged(rows, schema=KINDS), end.target(), staged.stage)
    found = {stored[0]: stored for stored in end.rows()}
    documents = [{"a": [12345678901234567890, 0.10]}, None, 1]
    for given, document in zip(rows, documents, strict=True):
        assert found[given[0]] == (*given[:11], document, given[12])
    described = end.execute(
        "SELECT column_name, data_type FROM svv_columns "
        f"WHERE table_schema = '{end.schema}' AND table_name = 'orders' ORDER BY ordinal_position"
    )
    assert dict(described) == {
        "id": "bigint", "small": "bigint", "price": "numeric", "cents": "numeric",
        "raw": "binary varying", "day": "date", "local": "timestamp without time zone",
        "at": "timestamp with time zone", "ratio": "double precision",
        "rough": "double precision", "yes": "boolean", "doc": "super",
        "mixed % case": "character varying",
    }  # fmt: skip


def test_files_are_copied_into_their_own_types_and_listed_by_name(end: End, staged: Staged) -> None:
    manifest = staged([(1, *[None] * 12)], schema=KINDS)
    (only,) = stagings(manifest, LoadMode.APPEND)
    assert statements.create_staging(only) == (
        f'CREATE TEMPORARY TABLE "{only.name.lower()}" ("id" BIGINT, "small" SMALLINT, '
        '"price" DECIMAL(38,10), "cents" DECIMAL(9,2), "raw" VARBYTE(1024000), "day" DATE, '
        '"local" TIMESTAMP, "at" TIMESTAMP, "ratio" DOUBLE PRECISION, "rough" REAL, '
        '"yes" BOOLEAN, "doc" VARCHAR(65535), "mixed % case" VARCHAR(65535))'
    )
    role = "arn:aws:iam::123456789012:role/load"
    assert statements.copy(only, "s3://bucket/list", role) == (
        f"COPY \"{only.name.lower()}\" FROM 's3://bucket/list' IAM_ROLE '{role}' "
        "FORMAT AS PARQUET MANIFEST"
    )


@pytest.mark.parametrize(
    ("there", "source", "kind", "wanted"),
    [
        ("VARCHAR(3)", pa.string(), Kind.WIDENED, "VARCHAR(65535)"),
        ("SMALLINT", pa.int32(), Kind.WIDENED, "BIGINT"),
        ("REAL", pa.float64(), Kind.WIDENED, "DOUBLE PRECISION"),
        ("DECIMAL(10,2)", pa.decimal128(12, 2), Kind.WIDENED, "DECIMAL(12,2)"),
        ("DECIMAL(12,2)", pa.decimal128(10, 2), Kind.NARROWED, "DECIMAL(10,2)"),
        ("DECIMAL(12,2)", pa.decimal128(12, 4), Kind.RETYPED, "DECIMAL(12,4)"),
        ("DATE", pa.string(), Kind.RETYPED, "VARCHAR(65535)"),
        ("INTEGER", pa.float64(), Kind.RETYPED, "DOUBLE PRECISION"),
        ("INTEGER", pa.int32(), None, None),
        ("SMALLINT", pa.int16(), None, None),
        ("VARCHAR", pa.string(), None, None),
    ],
)
def test_difference_is_named(
    loader: Any, end: Any, there: str, source: pa.DataType, kind: Any, wanted: Any
) -> None:
    end.execute(f"CREATE TABLE {end.schema}.orders (id BIGINT, x {there})")
    schema = pa.schema([SCHEMA.field("id"), pa.field("x", source)])
    changes = loader.plan_load(schema, ("id",), end.target()).changes
    assert [(c.difference.kind, c.difference.wanted) for c in changes] == (
        [(kind, wanted)] if kind else []
    )


def test_text_is_lengthened_and_holds_what_it_could_not(
    loader: Any, end: Any, staged: Staged
) -> None:
    end.execute(f"CREATE TABLE {end.schema}.orders (id BIGINT, word VARCHAR(3))")
    loader.load(staged([(1, "longer")]), end.target(), staged.stage)
    assert end.rows() == [(1, "longer")]


@pytest.mark.parametrize(
    "columns",
    ["id BIGINT, word VARCHAR, n SMALLINT", "id BIGINT, word VARCHAR, n INT, o INT NOT NULL"],
)
def test_what_redshift_cannot_alter_stops_the_load(
    loader: Any, end: Any, staged: Staged, columns: str
) -> None:
    end.execute(f"CREATE TABLE {end.schema}.orders ({columns})")
    manifest = staged([(1, "a", 5)], schema=pa.schema([*SCHEMA, pa.field("n", pa.int32())]))
    plan = loader.plan_load(manifest.schema, ("id",), end.target())
    assert [change.outcome for change in plan.changes] == [Outcome.STOP]
    with pytest.raises(SchemaChanged):
        loader.load(manifest, end.target(), staged.stage)
    assert (end.rows(), end.ledger()) == ([], [])


def test_value_too_wide_for_its_column_stops_the_load(
    loader: Any, end: Any, staged: Staged
) -> None:
    end.execute(f"CREATE TABLE {end.schema}.orders (id SMALLINT, word VARCHAR)")
    aside = end.target(contract=Contract.QUARANTINE)
    with pytest.raises(DataError):
        loader.load(staged([(1, "fits"), (40_000, "does not")]), aside, staged.stage)
    assert (end.rows(), end.ledger()) == ([], [])


def test_role_that_the_warehouse_may_not_use_is_named(
    loader: Any, end: End, staged: Staged
) -> None:
    target = end.target(stage="arn:aws:iam::123456789012:role/of-others")
    with pytest.raises(ResourceUnusable) as caught:
        loader.load(staged([(1, "a")]), target, staged.stage)
    assert caught.value.fields == {"stage": "The warehouse may not use this role."}
    assert end.ledger() == []


def test_user_that_may_not_write_is_denied(end: End, staged: Staged) -> None:
    end.form = lambda: {  # type: ignore[method-assign]
        name: end.endpoints["redshift"][name]
        for name in ("host", "port", "database", "user", "password")
    }
    with pytest.raises(PermissionDenied):
        end.connect().load(staged([(1, "a")]), end.target(), staged.stage)


def test_a_query_can_still_not_write(loader: Any, end: Any, staged: Staged) -> None:
    loader.load(staged([(1, "a")]), end.target(), staged.stage)
    with loader.query("SELECT current_setting('transaction_read_only') AS is_so") as result:
        assert [batch.to_pylist() for batch in result] == [[{"is_so": "on"}]]


def test_what_redshift_cannot_hold_is_found(end: End) -> None:
    schema = pa.schema(
        [
            pa.field("text", pa.string()),
            pa.field("raw", pa.binary()),
            pa.field("doc", pa.string(), metadata={"native": "json"}),
        ]
    )
    rows = [
        ("é" * 32_767, b"x" * 1_024_000, '"' + "x" * 65_533 + '"'),
        ("é" * 32_768, b"x" * 1_024_001, '"' + "x" * 65_534 + '"'),
        (None, None, '{"a": ' + "9" * 39 + "}"),
        (None, None, '{"a": 1, "a": 2}'),
    ]
    columns = [pa.array([row[n] for row in rows], kind) for n, kind in enumerate(schema.types)]
    found = provider("redshift").unfit(pa.RecordBatch.from_arrays(columns, schema=schema))
    assert sorted((u.row, u.column, u.reason) for u in found) == [
        (1, "doc", Reason.TOO_LONG),
        (1, "raw", Reason.TOO_LONG),
        (1, "text", Reason.TOO_LONG),
        (2, "doc", Reason.JSON_NUMBER),
        (3, "doc", Reason.JSON_REFUSED),
    ]


@pytest.mark.parametrize(
    ("stage", "is_right"),
    [
        ("arn:aws:iam::123456789012:role/load", True),
        ("arn:aws-us-gov:iam::123456789012:role/service/load", True),
        ("arn:aws:iam::123456789012:role/a,arn:aws:iam::210987654321:role/b", True),
        ("ETL_STAGE", False),
        ("", False),
        ("arn:aws:iam::123456789012:user/load", False),
        ("arn:aws:iam::123456789012:role/load' ACCESS_KEY_ID 'x", False),
    ],
)
def test_stage_is_a_role(end: End, stage: str, is_right: bool) -> None:
    assert (provider("redshift").stage_fault(stage) is None) is is_right
