"""What a value is, whichever system it comes from: of two connections, to the same database."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from rest_framework.test import APIClient

from tests.api.conftest import Save
from tests.api.shapes import result
from tests.store.running import Engine
from warehouse import catalogs
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

Rows = Callable[..., list[list[Any]]]
BOTH = "FROM shop.public.prices AS p JOIN crm.public.bought AS b ON b.id = p.id"


@pytest.fixture(autouse=True)
def _own_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables come and go from test to test within seconds."""
    monkeypatch.setattr(catalogs, "AGAIN_S", 0.0)


@pytest.fixture
def shops(vault: psycopg.Connection[Any], save: Save) -> None:
    vault.execute("CREATE TABLE prices (id bigint, price numeric(12, 2), code char(6))")
    vault.execute(
        "CREATE TABLE bought (id bigint, pieces bigint, code varchar(9), whole numeric(9))"
    )
    vault.execute("INSERT INTO prices VALUES (1, 1234567890.12, 'ab'), (2, 0.50, 'c d')")
    vault.execute("INSERT INTO bought VALUES (1, 9876543210, 'ab', 7), (2, 3, 'c d', -7)")
    save(name="shop")
    save(name="crm")


@pytest.fixture
def rows(shops: None, store: Engine, alice: APIClient, team: Team) -> Rows:
    def run(query: str, **values: Any) -> list[list[Any]]:
        body = {"query": query, "values": values}
        answer = alice.post(f"/api/environments/{team.pk}/queries/", body, "json")
        found: list[list[Any]] = result(answer)["rows"]
        return found

    return run


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        ("p.price * b.pieces", Decimal("1234567890.12") * 9876543210),
        ("p.price * p.price * 1000", Decimal("1234567890.12") ** 2 * 1000),
        ("p.price + b.pieces * 900000000", Decimal("1234567890.12") + 9876543210 * 900000000),
        ("p.price - b.pieces * 900000000", Decimal("1234567890.12") - 9876543210 * 900000000),
    ],
)
def test_a_decimal_is_reckoned_with_all_its_digits(rows: Rows, expr: str, wanted: Decimal) -> None:
    ((found,),) = rows(f"SELECT {expr} AS x {BOTH} WHERE p.id = 1")
    assert Decimal(found) == wanted


def test_a_decimal_without_a_fraction_is_a_whole_number(rows: Rows) -> None:
    query = f"SELECT b.whole % 5 AS r, intDiv(b.whole, 2) AS q, toString(b.whole) AS t {BOTH}"
    assert rows(f"{query} ORDER BY 3") == [[-2, -3, "-7"], [2, 3, "7"]]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(list(range(2, 10_002)), id="integers"),
        pytest.param([f"{n}'\\" * 9 for n in range(9_999)] + ["c d"], id="texts"),
    ],
)
def test_store_takes_as_many_values_as_a_query_may_have(rows: Rows, values: list[Any]) -> None:
    column = "b.id" if isinstance(values[0], int) else "b.code"
    for word, wanted in (("IN", 2), ("NOT IN", 1)):
        # What only the store says keeps the condition from going to a warehouse.
        query = f"SELECT p.id {BOTH} WHERE if(p.id > 0, {column}, NULL) {word} {{some}}"
        query = query.replace("p.id > 0", "p.id + b.id > 0")
        assert rows(query, some=values) == [[wanted]]


def test_store_takes_texts_for_dates_and_numbers_of_two_kinds(rows: Rows) -> None:
    query = f"SELECT p.id {BOTH} WHERE addDays(toDate('2026-01-01'), p.id + b.id) IN {{days}}"
    assert rows(query, days=["2026-01-05", "2027-01-05"]) == [[2]]
    query = f"SELECT p.id {BOTH} WHERE p.price + b.pieces IN {{some}}"
    assert rows(query, some=[3, 3.5]) == [[2]]


@pytest.mark.parametrize(
    ("kind", "condition", "wanted"),
    [
        ("LEFT", "p.id < b.id", [[1, 2], [2, None]]),
        ("RIGHT", "p.id < b.id", [[1, 2], [None, 1]]),
        ("FULL", "p.id < b.id", [[1, 2], [2, None], [None, 1]]),
        ("FULL", "p.id + b.id > 3", [[1, None], [2, 2], [None, 1]]),
        ("LEFT", "p.id < b.id OR p.id = b.id", [[1, 1], [1, 2], [2, 2]]),
        ("FULL", "p.id = 1 AND p.id < b.id", [[1, 2], [2, None], [None, 1]]),
        ("FULL", "p.id = 1", [[1, 1], [1, 2], [2, None]]),
        ("LEFT", "p.id != b.id", [[1, 2], [2, 1]]),
        (
            "FULL",
            "p.id = b.id AND p.price > b.pieces",
            [[1, None], [2, None], [None, 1], [None, 2]],
        ),
    ],
)
def test_an_outer_join_may_be_on_anything(
    rows: Rows, kind: str, condition: str, wanted: list[list[Any]]
) -> None:
    joined = f"shop.public.prices AS p {kind} JOIN crm.public.bought AS b ON {condition}"
    assert rows(f"SELECT p.id AS x, b.id AS y FROM {joined} ORDER BY x, y") == wanted


def test_an_outer_join_of_a_query_may_be_on_anything(rows: Rows) -> None:
    joined = "few AS p LEFT JOIN (SELECT id AS n FROM crm.public.bought) AS b ON p.id > b.n"
    query = f"WITH few AS (SELECT id FROM shop.public.prices) SELECT p.id AS x, n FROM {joined}"
    assert rows(f"{query} ORDER BY x") == [[1, None], [2, 1]]


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT p.id, p.code {BOTH} WHERE p.code = b.code",
        f"SELECT p.id, p.code {BOTH} WHERE p.code = b.code AND p.id + b.id > 0",
        "SELECT p.id, p.code FROM shop.public.prices AS p "
        "WHERE p.code IN (SELECT code FROM crm.public.bought)",
        "SELECT p.id, p.code FROM (SELECT id, code FROM shop.public.prices UNION ALL "
        "SELECT 9, max(code) FROM shop.public.prices WHERE id > 9) AS p "
        "JOIN crm.public.bought AS b ON b.code = p.code",
        "SELECT DISTINCT p.id, concat(p.code, '') FROM shop.public.prices AS p "
        "JOIN crm.public.bought AS b ON b.code = p.code",
        "SELECT id, code FROM shop.public.prices",
        "SELECT id, code FROM shop.public.prices UNION SELECT id, code FROM shop.public.prices",
        "SELECT id, max(code) AS top FROM shop.public.prices WHERE code IN ('ab', 'c d') "
        "GROUP BY id, code",
    ],
)
def test_blanks_that_fill_a_char_are_no_part_of_it(rows: Rows, query: str) -> None:
    assert sorted(rows(query)) == [[1, "ab"], [2, "c d"]]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (f"SELECT count() AS n {BOTH} INTERSECT SELECT b.id {BOTH}", [[2]]),
        (f"SELECT b.id AS n {BOTH} EXCEPT SELECT count() {BOTH}", [[1]]),
        (f"SELECT b.id AS n {BOTH} INTERSECT SELECT toFloat(b.id) {BOTH} WHERE b.id = 1", [[1.0]]),
        (
            f"SELECT n FROM (SELECT p.price AS n {BOTH} UNION ALL SELECT toFloat(b.id) {BOTH} "
            f"UNION ALL SELECT length(p.code) {BOTH} WHERE b.id = 2) ORDER BY n DESC",
            [[1234567890.12], [3.0], [2.0], [1.0], [0.5]],
        ),
        (
            f"SELECT n, count() AS c FROM (SELECT b.id AS n {BOTH} UNION ALL "
            f"SELECT count() {BOTH}) GROUP BY n ORDER BY n",
            [[1, 1], [2, 2]],
        ),
    ],
)
def test_parts_of_a_set_have_numbers_of_one_type(
    rows: Rows, query: str, wanted: list[list[Any]]
) -> None:
    assert rows(query) == wanted
