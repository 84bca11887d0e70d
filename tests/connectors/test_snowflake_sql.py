"""The statements of a load, word for word."""

import dataclasses

import pyarrow as pa
import pytest

from connectors.drift import Difference, Kind
from connectors.errors import Unsupported
from connectors.loading import stagings
from connectors.snowflake import columns, write
from connectors.snowflake import sql as statements
from connectors.types import LoadMode, LoadTarget, Manifest, StagedFile

TARGET = LoadTarget(schema="PUBLIC", table="ORDERS", stage="ETL_STAGE", fence=7)
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("price", pa.decimal128(10, 2)),
        pa.field("doc", pa.string(), metadata={"native": "jsonb"}),
        pa.field("Mixed Case", pa.string()),
    ]
)


def manifest(
    files: int = 2, schema: pa.Schema = SCHEMA, key: tuple[str, ...] = ("id",)
) -> Manifest:
    parts = tuple(StagedFile(f"part-{n:05}.parquet", 10, 100, "aa") for n in range(files))
    return Manifest(
        load_id="1",
        location="team/run/attempt-1",
        files=parts,
        schema=schema,
        primary_key=key,
    )


def staging(of: Manifest) -> statements.Staging:
    (only,) = stagings(of, LoadMode.MERGE)
    return only


def written(of: Manifest, mode: LoadMode = LoadMode.MERGE) -> list[str]:
    """The statements of the transaction, but for the ledger's."""
    target = dataclasses.replace(TARGET, mode=mode)
    return write.writes(target, of, stagings(of, mode))


def test_target() -> None:
    assert statements.create_target(TARGET, SCHEMA, ("id",)) == (
        'CREATE TABLE IF NOT EXISTS "PUBLIC"."ORDERS" ("ID" NUMBER(38,0) NOT NULL, '
        '"PRICE" NUMBER(10,2), "DOC" VARIANT, "Mixed Case" VARCHAR(134217728), PRIMARY KEY ("ID"))'
    )


def test_staging() -> None:
    assert statements.create_staging(TARGET, staging(manifest())) == (
        'CREATE OR REPLACE TEMPORARY TABLE "PUBLIC"."WAREHOUSE_STAGING_1" ("ID" NUMBER(38,0), '
        '"PRICE" NUMBER(10,2), "DOC" VARCHAR(134217728), "Mixed Case" VARCHAR(134217728))'
    )


def test_copy_names_every_file() -> None:
    assert statements.copies(TARGET, staging(manifest()), "team/run/attempt-1") == [
        'COPY INTO "PUBLIC"."WAREHOUSE_STAGING_1" FROM @"PUBLIC"."ETL_STAGE"/team/run/attempt-1/ '
        "FILES = ('part-00000.parquet', 'part-00001.parquet') "
        "FILE_FORMAT = (TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT PURGE = FALSE"
    ]


def test_merge() -> None:
    assert written(manifest()) == [
        'MERGE INTO "PUBLIC"."ORDERS" AS t USING (SELECT "ID", "PRICE", '
        'PARSE_JSON("DOC") AS "DOC", "Mixed Case" FROM "PUBLIC"."WAREHOUSE_STAGING_1") AS s '
        'ON t."ID" = s."ID" '
        'WHEN MATCHED THEN UPDATE SET "PRICE" = s."PRICE", "DOC" = s."DOC", '
        '"Mixed Case" = s."Mixed Case" '
        'WHEN NOT MATCHED THEN INSERT ("ID", "PRICE", "DOC", "Mixed Case") '
        'VALUES (s."ID", s."PRICE", s."DOC", s."Mixed Case")'
    ]


def test_merge_of_a_table_that_is_all_key_counts_rows_that_are_there() -> None:
    only_key = pa.schema([pa.field("a", pa.int64()), pa.field("b", pa.int64())])
    assert written(manifest(schema=only_key, key=("b", "a"))) == [
        'MERGE INTO "PUBLIC"."ORDERS" AS t USING (SELECT "A", "B" '
        'FROM "PUBLIC"."WAREHOUSE_STAGING_1") AS s '
        'ON t."B" = s."B" AND t."A" = s."A" '
        'WHEN MATCHED THEN UPDATE SET "B" = s."B", "A" = s."A" '
        'WHEN NOT MATCHED THEN INSERT ("A", "B") VALUES (s."A", s."B")'
    ]


def test_ledger() -> None:
    assert statements.create_ledger("PUBLIC") == (
        'CREATE TABLE IF NOT EXISTS "PUBLIC"."WAREHOUSE_LOADS" (LOAD_ID VARCHAR NOT NULL, '
        "TARGET VARCHAR NOT NULL, FENCE NUMBER(38,0) NOT NULL, ROWS_LOADED NUMBER(38,0) NOT NULL, "
        "FILES NUMBER(38,0) NOT NULL, LOADED_AT TIMESTAMP_TZ NOT NULL)"
    )
    assert statements.remember(TARGET, manifest()) == (
        'INSERT INTO "PUBLIC"."WAREHOUSE_LOADS" SELECT ?, ?, ?, ?, ?, CURRENT_TIMESTAMP() '
        'WHERE NOT EXISTS (SELECT 1 FROM "PUBLIC"."WAREHOUSE_LOADS" '
        "WHERE LOAD_ID = ? OR (TARGET = ? AND FENCE > ?))",
        ("1", "ORDERS", 7, 20, 2, "1", "ORDERS", 7),
    )
    assert statements.known_load(TARGET, "1") == (
        'SELECT 1 FROM "PUBLIC"."WAREHOUSE_LOADS" WHERE LOAD_ID = ?',
        ("1",),
    )


@pytest.mark.parametrize(
    ("files", "copies"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (2000, 2), (2001, 3)]
)
def test_more_than_a_thousand_files_are_several_copies(files: int, copies: int) -> None:
    made = statements.copies(TARGET, staging(manifest(files)), "a")
    assert len(made) == copies
    named = [part for sql in made for part in sql.split("'") if part.endswith(".parquet")]
    assert named == [f"part-{n:05}.parquet" for n in range(files)]


def test_count() -> None:
    assert statements.count("PUBLIC", "ORDERS") == 'SELECT COUNT(*) FROM "PUBLIC"."ORDERS"'


# Names


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ('a"; DROP TABLE t; --', '"a""; DROP TABLE t; --"'),
        ('"', '""""'),
        ("a'b", '"a\'b"'),
        ("a\\", '"a\\"'),
        ("a.b", '"a.b"'),
        ("Ünïcode 🙂", '"Ünïcode 🙂"'),
        ("", '""'),
    ],
)
def test_hostile_name_stays_inside_its_quotes(name: str, inside: str) -> None:
    assert statements.quoted(name) == inside
    assert statements.quoted("S", name) == f'"S".{inside}'


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("a'b", "'a''b'"),
        ("a\\", "'a\\\\'"),
        ("\\'; DROP TABLE t; --", "'\\\\''; DROP TABLE t; --'"),
    ],
)
def test_hostile_text_stays_inside_its_quotes(text: str, inside: str) -> None:
    assert statements.literal(text) == inside


def test_hostile_names_of_table_column_and_file_are_quoted_everywhere() -> None:
    evil = 'x"; DROP TABLE t; --'
    target = LoadTarget(schema=evil, table=evil, stage=evil, fence=1)
    schema = pa.schema([pa.field(evil, pa.int64())])
    file = StagedFile("x'; DROP TABLE t; --", 1, 1, "aa")
    hostile = Manifest("l", "a", (file,), schema, (evil,))
    made = [
        statements.create_ledger(evil),
        statements.create_target(target, schema, (evil,)),
        *(
            sql
            for mode in LoadMode
            for part in stagings(hostile, mode)
            for sql in (
                statements.create_staging(target, part),
                *statements.copies(target, part, "a"),
                *write.writes(dataclasses.replace(target, mode=mode), hostile, [part]),
                write.rows_to_write(target, hostile, [part]),
            )
        ),
        columns.existing_key(target),
        columns.alteration(target, Difference(Kind.ADDED, evil, wanted="VARCHAR")),
        statements.remember(target, hostile)[0],
        statements.known_load(target, "l")[0],
        statements.count(evil, evil),
    ]
    for sql in made:
        outside = sql.replace('"x""; DROP TABLE t; --"', "").replace("'x''; DROP TABLE t; --'", "")
        assert "DROP" not in outside


@pytest.mark.parametrize(
    "location", ["", "/a", "a/", "a//b", "a/../b", "a b", "a';b", "a\n", "@s", "a/*"]
)
def test_location_that_is_no_plain_folder_is_refused(location: str) -> None:
    with pytest.raises(ValueError, match="not a stage location"):
        statements.copies(TARGET, staging(manifest()), location)


@pytest.mark.parametrize(
    ("name", "folded"),
    [("id", "ID"), ("a_1$", "A_1$"), ("Id", "Id"), ("a b", "a b"), ("1a", "1a"), ("é", "é")],
)
def test_bare_lower_case_name_becomes_upper_case(name: str, folded: str) -> None:
    assert statements.folded(name) == folded


@pytest.mark.parametrize("names", [("a", "A"), ("Ab", "aB"), ("a", "a")])
def test_columns_that_differ_only_in_case_are_refused(names: tuple[str, ...]) -> None:
    schema = pa.schema([pa.field(name, pa.int64()) for name in names])
    with pytest.raises(Unsupported):
        statements.create_target(TARGET, schema, names[:1])


def test_table_without_a_key_cannot_be_merged_into() -> None:
    with pytest.raises(Unsupported, match="primary key"):
        statements.create_target(TARGET, SCHEMA, ())
    appended = dataclasses.replace(TARGET, mode=LoadMode.APPEND)
    assert "PRIMARY KEY" not in statements.create_target(appended, SCHEMA, ())


# Types


@pytest.mark.parametrize(
    ("arrow", "snowflake"),
    [
        (pa.bool_(), "BOOLEAN"),
        (pa.int16(), "NUMBER(38,0)"),
        (pa.int64(), "NUMBER(38,0)"),
        (pa.float32(), "FLOAT"),
        (pa.float64(), "FLOAT"),
        (pa.string(), "VARCHAR(134217728)"),
        (pa.binary(), "BINARY(67108864)"),
        (pa.date32(), "DATE"),
        (pa.timestamp("us"), "TIMESTAMP_NTZ(6)"),
        (pa.timestamp("us", tz="UTC"), "TIMESTAMP_TZ(6)"),
        (pa.decimal128(38, 37), "NUMBER(38,37)"),
    ],
    ids=str,
)
def test_type_of_a_column(arrow: pa.DataType, snowflake: str) -> None:
    assert statements.column_type(pa.field("a", arrow)) == snowflake


@pytest.mark.parametrize(
    "arrow", [pa.timestamp("ns"), pa.list_(pa.int64()), pa.uint64(), pa.decimal128(38, 38)], ids=str
)
def test_type_without_an_exact_equal_is_refused(arrow: pa.DataType) -> None:
    with pytest.raises(Unsupported, match="Column a "):
        statements.column_type(pa.field("a", arrow))
