"""Tables by the hundred: in pages, with all that the catalog knows, in three statements a page."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector
from connectors.types import Table

from .conftest import Watcher

TABLES = 310
TYPES = {
    "A_NUMBER": ("NUMBER(38,0)", pa.decimal128(38, 0), "NUMBER"),
    "B_SMALL": ("NUMBER(9,0)", pa.int64(), "NUMBER(9,0)"),
    "C_MONEY": ("NUMBER(12,2)", pa.decimal128(12, 2), "NUMBER(12,2)"),
    "D_FLOAT": ("FLOAT", pa.float64(), "FLOAT"),
    "E_TEXT": ("TEXT", pa.string(), "VARCHAR(20)"),
    "F_BINARY": ("BINARY", pa.binary(), "BINARY"),
    "G_BOOLEAN": ("BOOLEAN", pa.bool_(), "BOOLEAN"),
    "H_DATE": ("DATE", pa.date32(), "DATE"),
    "I_TIME": ("TIME(9)", pa.time64("us"), "TIME"),
    "J_NTZ": ("TIMESTAMP_NTZ(9)", pa.timestamp("us"), "TIMESTAMP_NTZ"),
    "K_LTZ": ("TIMESTAMP_LTZ(9)", pa.timestamp("us", tz="UTC"), "TIMESTAMP_LTZ"),
    "L_TZ": ("TIMESTAMP_TZ(9)", pa.timestamp("us", tz="UTC"), "TIMESTAMP_TZ"),
    "M_VARIANT": ("VARIANT", pa.string(), "VARIANT"),
    "N_OBJECT": ("OBJECT", pa.string(), "OBJECT"),
    "O_ARRAY": ("ARRAY", pa.string(), "ARRAY"),
}


@pytest.fixture(scope="module")
def crowd(keeper: Any) -> Iterator[str]:
    """A schema with TABLES tables of two columns."""
    name = "CROWD"
    keeper.execute(f"CREATE SCHEMA DATAVAULT.{name}")
    for number in range(TABLES):
        keeper.execute(f"CREATE TABLE DATAVAULT.{name}.T{number} (ID NUMBER(9,0), WORD VARCHAR)")
    yield name
    keeper.execute(f"DROP SCHEMA DATAVAULT.{name}")


def paged(warehouse: Connector, limit: int, **filters: Any) -> list[list[Table]]:
    pages: list[list[Table]] = []
    after = None
    while not pages or len(pages[-1]) == limit:
        pages.append(warehouse.fetch_tables(**filters, after=after, limit=limit))
        last = pages[-1][-1:] or pages[-2][-1:]
        after = (last[0].schema, last[0].name)
    return pages


def test_pages_hold_every_table_once_in_order(warehouse: Connector, crowd: str) -> None:
    pages = paged(warehouse, 100, schema=crowd)
    assert [len(page) for page in pages] == [100, 100, 100, 10]
    names = [table.name for page in pages for table in page]
    assert names == sorted(f"T{number}" for number in range(TABLES))
    assert all(
        [column.name for column in table.columns] == ["ID", "WORD"]
        for page in pages
        for table in page
    )


def test_page_takes_three_statements_whatever_is_on_it(
    warehouse: Connector, crowd: str, watcher: Watcher
) -> None:
    for limit, schema in ((1, crowd), (TABLES, crowd), (TABLES, None)):
        before = len(watcher.statements())
        assert len(warehouse.fetch_tables(schema, limit=limit)) == limit
        assert len(watcher.statements()) - before == 3


def test_search_is_for_a_part_in_any_case_and_no_pattern(warehouse: Connector, crowd: str) -> None:
    found = [table.name for table in warehouse.fetch_tables(search="t30")]
    assert found == sorted(["T30", *(f"T30{digit}" for digit in range(10))])
    assert warehouse.fetch_tables(crowd, search="%") == []
    assert warehouse.fetch_tables(crowd, search="T_0") == []
    pages = paged(warehouse, 4, schema=crowd, search="T30")
    assert [table.name for page in pages for table in page] == found


def test_table_has_all_that_the_catalog_knows(
    warehouse: Connector, keeper: Any, schema: str
) -> None:
    keeper.execute(
        f"CREATE TABLE DATAVAULT.{schema}.ORDERS (LINE NUMBER(9,0) NOT NULL, "
        "ID NUMBER(9,0) NOT NULL COMMENT 'of the order', NOTE VARCHAR, PRIMARY KEY (ID, LINE)) "
        "COMMENT = 'what was ordered'"
    )
    keeper.execute(f"INSERT INTO DATAVAULT.{schema}.ORDERS VALUES (1, 7, 'x'), (2, 7, NULL)")
    keeper.execute(f"CREATE VIEW DATAVAULT.{schema}.SEEN AS SELECT * FROM {schema}.ORDERS")
    table, view = warehouse.fetch_tables(schema)
    assert (table.catalog, table.schema, table.name) == ("DATAVAULT", schema, "ORDERS")
    assert (table.kind, table.comment) == ("table", "what was ordered")
    assert table.primary_key == ("ID", "LINE")
    assert table.row_count == 2
    assert table.size_bytes
    assert [(c.name, c.position, c.nullable, c.comment) for c in table.columns] == [
        ("LINE", 1, False, None),
        ("ID", 2, False, "of the order"),
        ("NOTE", 3, True, None),
    ]
    assert (view.name, view.kind, view.primary_key, view.row_count) == ("SEEN", "view", (), None)


def test_arrow_types_are_those_of_a_query(warehouse: Connector, keeper: Any, schema: str) -> None:
    columns = ", ".join(f"{name} {declared}" for name, (_, _, declared) in TYPES.items())
    keeper.execute(f"CREATE TABLE DATAVAULT.{schema}.ALL_OF_THEM ({columns})")
    (table,) = warehouse.fetch_tables(schema)
    assert {c.name: (c.native_type, c.arrow_type) for c in table.columns} == {
        name: (native, arrow) for name, (native, arrow, _) in TYPES.items()
    }
    with warehouse.query(f"SELECT * FROM {schema}.ALL_OF_THEM") as result:
        assert result.schema == pa.schema([(c.name, c.arrow_type) for c in table.columns])
