"""Rows that a leg does not send: the answer is that of whole tables, and fewer rows come."""

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pytest

from connectors.types import Limits
from tests import vendors
from tests.api.conftest import Save
from tests.federation.layout import put_into_store
from tests.federation.test_moves_less import answered
from tests.federation.whole import of_whole_tables
from tests.hogql.engines import Row
from tests.hogql.tpch_tables import ROWS
from tests.store.running import Engine
from warehouse.federation import planner
from warehouse.federation.legs import Legs
from warehouse.federation.run import FederatedRun
from warehouse.federation.split import Split
from warehouse.models import Team, WarehouseConnection

pytestmark = pytest.mark.django_db(transaction=True)

SALES, SHOPS, SEED = 400, 12, 7
TABLES = {
    "sales": "shop bigint, day date, units bigint, price decimal(9, 2), kind varchar",
    "shops": "id bigint, town varchar",
    "none": "id bigint, town varchar",
}
QUERIES = {
    "sums": """
        SELECT s.town, sum(f.price) AS a, sum(f.units) AS b, count() AS n, count(f.units) AS u
        FROM {sales} AS f JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town""",
    "ends and means": """
        SELECT s.town, min(f.day) AS a, max(f.price) AS b, avg(f.units) AS c, avg(f.price) AS d
        FROM {sales} AS f JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town""",
    "keys of its own": """
        SELECT s.town, toStartOfMonth(f.day) AS month, sum(f.price * f.units) AS paid
        FROM {sales} AS f JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town, month""",
    "a key of the name of a part": """
        SELECT s.town, f.hogql_part_0 AS kind, count() AS n
        FROM (SELECT shop, kind AS hogql_part_0 FROM {sales}) AS f
        JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town, f.hogql_part_0""",
    "only some of its rows": """
        SELECT s.town, count() AS n, sum(f.price) AS paid FROM {sales} AS f
        JOIN {shops} AS s ON f.shop = s.id WHERE f.units > 2 GROUP BY s.town""",
    "what only some count for": """
        SELECT s.town, countIf(f.price > 50) AS a, sumIf(f.units, f.kind = 'x') AS b,
            avgIf(f.units, f.kind = 'y') AS c, uniq(f.kind) AS d, max(s.id) AS e
        FROM {sales} AS f JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town""",
    "groups that stay": """
        SELECT s.town, count() AS n FROM {sales} AS f JOIN {shops} AS s ON f.shop = s.id
        WHERE f.kind <> 'x' OR s.town <> 'A' GROUP BY s.town
        HAVING sum(f.units) > 100 ORDER BY sum(f.price) DESC, s.town LIMIT 3""",
    "one row": """
        SELECT count() AS n, sum(f.units) AS a, avg(f.units) AS b
        FROM {sales} AS f, {shops} AS s WHERE f.shop = s.id""",
    "one row of none": """
        SELECT count() AS n, sum(f.units) AS a, avg(f.units) AS b, max(f.day) AS c
        FROM {sales} AS f, {none} AS s WHERE f.shop = s.id""",
    "three at once": """
        SELECT s.town, sum(f.units) AS a FROM {sales} AS f JOIN {shops} AS s ON f.shop = s.id
        JOIN {shops} AS t ON t.id = f.shop GROUP BY s.town""",
    "the first of an outer join": """
        SELECT f.day, f.price, f.units, f.shop FROM {sales} AS f
        LEFT JOIN {shops} AS s ON f.shop = s.id WHERE f.kind = 'x'
        ORDER BY f.day DESC, f.price, f.units, f.shop LIMIT 20 OFFSET 3""",
    "the first of what only the store can say": """
        SELECT f.day, f.price, f.units, f.shop,
            arrayMap(k -> concat(k, '!'), splitByChar(',', f.kind)) AS kinds
        FROM {sales} AS f ORDER BY f.price * f.units, f.day, f.shop, f.kind = 'x', f.kind = 'y'
        LIMIT 20""",
    "the first of several parts": """
        SELECT a, b FROM (SELECT units AS a, day AS b FROM {sales}
            UNION ALL SELECT id, toDate('2026-02-11') FROM {shops}
            UNION ALL SELECT count(), day FROM {sales} GROUP BY day)
        ORDER BY b DESC, a LIMIT 50""",
    "in a query": """
        SELECT town, n FROM (SELECT s.town AS town, count() AS n FROM {sales} AS f
        JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town) AS q WHERE n > 30""",
}
AS_THEY_ARE = {
    "two sides": """
        SELECT s.town, sum(f.units) AS a, sum(s.id) AS b FROM {sales} AS f
        JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town""",
    "each value once": """
        SELECT s.town, sum(DISTINCT f.units) AS a FROM {sales} AS f
        JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town""",
    "floats": """
        SELECT s.town, round(sum(f.units / 3), 3) AS a FROM {sales} AS f
        JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town""",
    "a sum of sums": """
        SELECT s.town, sum(sum(f.units)) OVER (PARTITION BY s.town) AS a FROM {sales} AS f
        JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town""",
    "the first by a text": """
        SELECT f.kind FROM {sales} AS f LEFT JOIN {shops} AS s ON f.shop = s.id
        ORDER BY f.kind LIMIT 20""",
    "the first by another table": """
        SELECT s.id, f.units FROM {sales} AS f LEFT JOIN {shops} AS s ON f.shop = s.id
        ORDER BY s.id, f.units LIMIT 20""",
    "the first of an inner join": """
        SELECT f.day, f.units FROM {sales} AS f JOIN {shops} AS s ON f.shop = s.id
        ORDER BY f.day, f.units LIMIT 20""",
    "texts that only rows without a shop cannot spell": """
        SELECT s.town, sum(toInt(if(f.shop > 12, f.kind, '1'))) AS a FROM {sales} AS f
        JOIN {shops} AS s ON f.shop = s.id GROUP BY s.town""",
    "an outer join": """
        SELECT s.town, count() AS n FROM {shops} AS s
        LEFT JOIN {sales} AS f ON f.shop = s.id GROUP BY s.town""",
    "a count for each row": """
        SELECT s.town, (SELECT count() FROM {sales} AS f, {shops} AS t
            WHERE f.shop = t.id AND t.id = s.id) AS n FROM {shops} AS s""",
}


def made() -> dict[str, list[str]]:
    """Rows of each table as SQL: with NULLs, rows that are there twice, and keys that are none."""
    some = random.Random(SEED)

    def value(*of: object) -> str:
        one = some.choice([None, *of, *of, *of])
        return "NULL" if one is None else f"'{one}'" if isinstance(one, str) else str(one)

    days = [f"2026-0{month}-1{day}" for month in (1, 2, 3) for day in range(5)]
    prices = [n + 0.25 for n in range(90)]
    columns = (range(1, SHOPS + 4), days, range(9), prices, "xyz")
    sales = [", ".join(value(*of) for of in columns) for _ in range(SALES)]
    shops = [f"{n}, '{town}'" for n, town in zip(range(1, SHOPS + 1), "ABCABCABCABC", strict=True)]
    return {
        "sales": [*sales, *sales[:40]],
        "shops": [*shops, *shops[:3], "NULL, 'A'", "99, 'B'", "5, NULL"],
        "none": [],
    }


@pytest.fixture(scope="module")
def schemas(endpoints: dict[str, Any], credentials: dict[str, Any]) -> Iterator[dict[str, str]]:
    """By provider: the schema that has all of the tables, counted."""
    found = {}
    with ExitStack() as stack:
        for provider in ("postgres", "snowflake"):
            owner = ROWS[provider].owner(endpoints, credentials[provider])
            run = stack.enter_context(vendors.EXECUTING[provider](owner))
            name = found[provider] = ROWS[provider].fold(f"partial_{uuid.uuid4().hex[:8]}")
            run(f"CREATE SCHEMA {name}")
            stack.callback(run, f"DROP SCHEMA {name} CASCADE")
            for table, rows in made().items():
                run(f"CREATE TABLE {name}.{table} ({TABLES[table]})")
                if rows:
                    run(f"INSERT INTO {name}.{table} VALUES {', '.join(f'({r})' for r in rows)}")
                if provider == "postgres":
                    run(f"ANALYZE {name}.{table}")
        yield found


Answers = Callable[[str, str], tuple[list[Row], list[Row], int, int]]


@pytest.fixture
def saved(save: Save, schemas: dict[str, str], store: Engine) -> dict[str, WarehouseConnection]:
    return {provider: save(provider) for provider in schemas}


@pytest.fixture
def answers(team: Team, saved: dict[str, WarehouseConnection], schemas: dict[str, str]) -> Answers:
    """What a query answers, and with whole tables; and how many sales came, with each."""

    def both(text: str, fact: str) -> tuple[list[Row], list[Row], int, int]:
        (other,) = schemas.keys() - {fact}
        where = {"sales": fact, "shops": other, "none": other}
        named = {table: f"{at}.{schemas[at]}.{table}" for table, at in where.items()}
        found = planner.planned(team, text.format(**named), {})

        def run(make: Callable[[str], Split]) -> tuple[list[Row], int]:
            split = make(f"leg_{uuid.uuid4().hex}_")
            legs = Legs(team, split, found, str(uuid.uuid4()))
            rows = answered(FederatedRun(legs, Limits(60)))
            source = next(key for key, one in found.connections.items() if one.provider == fact)
            return rows, sum(leg.rows for leg in legs if leg.leg.source == source)

        ours, came = run(found.split)
        whole, all_of_them = run(lambda prefix: of_whole_tables(found.query, prefix))
        return ours, whole, came, all_of_them

    return both


@pytest.mark.parametrize("fact", ["postgres", "snowflake"])
@pytest.mark.parametrize("name", QUERIES)
def test_what_does_not_count_does_not_come(answers: Answers, name: str, fact: str) -> None:
    ours, whole, came, all_of_them = answers(QUERIES[name], fact)
    assert ours == whole
    assert came < all_of_them / 2


def test_table_of_the_store_says_how_many_groups_there_are(
    answers: Answers, saved: dict[str, WarehouseConnection], schemas: dict[str, str]
) -> None:
    shops = pa.table({"id": [*range(1, SHOPS + 1), 1, None], "town": [*"ABCABCABCABCAB"]})
    put_into_store(saved["snowflake"], schemas["snowflake"], {"shops": shops})
    ours, whole, came, all_of_them = answers(QUERIES["sums"], "postgres")
    assert ours == whole
    assert came < all_of_them / 2


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_where_all_rows_count_they_come(answers: Answers, name: str) -> None:
    ours, whole, came, all_of_them = answers(AS_THEY_ARE[name], "postgres")
    assert ours == whole
    assert came > all_of_them / 2
