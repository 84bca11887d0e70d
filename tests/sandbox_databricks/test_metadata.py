"""The metadata calls of the vendor's client."""

from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import new_schema


@pytest.fixture(scope="module")
def three(shared: Any) -> Iterator[str]:
    """A schema with two tables and a view."""
    with new_schema(shared) as name, shared.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name}.a_b (x INT)")
        cursor.execute(f"CREATE TABLE {name}.acb (x INT)")
        cursor.execute(f"CREATE VIEW {name}.v AS SELECT 1 AS x")
        yield name


def named(cursor: Any, column: str) -> list[str]:
    return sorted(cursor.fetchall_arrow().column(column).to_pylist())


def test_there_is_one_catalog(cursor: Any, endpoint: dict[str, Any]) -> None:
    cursor.catalogs()
    assert named(cursor, "TABLE_CAT") == [endpoint["catalog"]]


def test_schemas_name_their_catalog(cursor: Any, endpoint: dict[str, Any]) -> None:
    cursor.schemas(schema_name="sal%")
    found = cursor.fetchall_arrow().to_pylist()
    assert found == [{"TABLE_SCHEM": "sales", "TABLE_CATALOG": endpoint["catalog"]}]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["a_b", "acb", "v"]),
        ({"table_name": "a_b"}, ["a_b", "acb"]),
        ({"table_name": "a%"}, ["a_b", "acb"]),
        ({"table_types": ["VIEW"]}, ["v"]),
        ({"catalog_name": "sand%"}, ["a_b", "acb", "v"]),
        ({"catalog_name": "s_ndbo_"}, ["a_b", "acb", "v"]),
        ({"catalog_name": "s\\_ndbox"}, []),
        ({"catalog_name": "other"}, []),
    ],
)
def test_tables_are_listed_by_pattern(
    cursor: Any, three: str, options: dict[str, Any], names: list[str]
) -> None:
    cursor.tables(schema_name=three, **options)
    assert named(cursor, "TABLE_NAME") == names


def test_columns_have_type_place_and_comment(
    cursor: Any, schema: str, endpoint: dict[str, Any]
) -> None:
    cursor.execute(
        f"CREATE TABLE {schema}.t (a DECIMAL(10, 2) COMMENT 'what it costs', b TIMESTAMP_NTZ, "
        "c ARRAY<STRING>)"
    )
    cursor.columns(schema_name=schema, table_name="t")
    wanted = "TABLE_CAT TABLE_SCHEM COLUMN_NAME TYPE_NAME ORDINAL_POSITION REMARKS".split()
    found = cursor.fetchall_arrow().select(wanted).to_pylist()
    catalog = endpoint["catalog"]
    assert [tuple(row.values()) for row in found] == [
        (catalog, schema, "a", "DECIMAL(10,2)", 1, "what it costs"),
        (catalog, schema, "b", "TIMESTAMP_NTZ", 2, ""),
        (catalog, schema, "c", "ARRAY<STRING>", 3, ""),
    ]


def test_the_seed_is_the_same_every_time(cursor: Any) -> None:
    totals = []
    for table in ("orders", "customers"):
        cursor.execute(f"SELECT count(*), sum(hash(*)) FROM sales.{table}")
        totals.append(tuple(cursor.fetchall()[0]))
    assert totals == [(2000, -1560417623), (100, -1213516531)]
