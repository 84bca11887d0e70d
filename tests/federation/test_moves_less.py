"""Whatever is left in a warehouse: the answer is that of whole tables, brought and joined."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields, replace
from typing import Any

import pyarrow as pa
import pytest

from connectors.types import Limits
from tests import vendors
from tests.api.conftest import Save
from tests.federation.layout import put_into_store
from tests.federation.whole import of_whole_tables
from tests.hogql.engines import Row, rows_of
from tests.hogql.tpch_tables import ROWS
from tests.store.running import Engine
from warehouse.federation import planner
from warehouse.federation.homes import move_to
from warehouse.federation.legs import Legs
from warehouse.federation.moved import MovedRun
from warehouse.federation.run import FederatedRun
from warehouse.federation.split import Split
from warehouse.hogql import tree
from warehouse.hogql.resolved import Resolved
from warehouse.models import Team
from warehouse.runs import Run

pytestmark = pytest.mark.django_db(transaction=True)

MADE = {
    "postgres": [
        "CREATE TABLE {s}.orders (id bigint PRIMARY KEY, who bigint, day date, note text)",
        "INSERT INTO {s}.orders VALUES (1, 1, '2026-01-01', 'a'), (2, 1, '2026-01-02', NULL), "
        "(3, NULL, '2026-01-03', 'a'), (4, 9, NULL, 'b'), (5, 2, '2026-01-05', 'c')",
        "CREATE TABLE {s}.lines (order_id bigint, sku text, price decimal(9, 2))",
        "INSERT INTO {s}.lines VALUES (1, 'x', 1.50), (1, 'x', 1.50), (1, 'y', 2.00), "
        "(2, NULL, 3.25), (NULL, 'x', 4.00), (7, 'z', NULL), (5, 'y', 5.00)",
    ],
    "snowflake": [
        "CREATE TABLE {s}.people (id bigint, country varchar, name varchar)",
        "INSERT INTO {s}.people VALUES (1, 'NL', 'Ann'), (2, 'BE', 'Bob'), (2, 'NL', 'Bob'), "
        "(NULL, 'NL', 'Nil'), (3, NULL, 'Cid')",
        "CREATE TABLE {s}.visits (who bigint, page varchar)",
        "INSERT INTO {s}.visits VALUES (1, '/'), (1, '/'), (2, '/a'), (NULL, '/'), (8, '/a')",
    ],
}
KEYS = {"people": "id", "visits": "who", "orders": "id", "lines": "order_id"}
LANDS = pa.table(
    {
        "code": ["NL", "BE", None, "NL"],
        "land": ["Nederland", "België", "?", "Holland"],
        "big": pa.array([1, 0, 1, None], pa.int64()),
    }
)
QUERIES = {
    "a table whose key another names": """
        SELECT p.name, o.note, l.sku, l.price FROM {orders} AS o, {lines} AS l, {people} AS p
        WHERE l.order_id = o.id AND o.who = p.id""",
    "equal by way of a third": """
        SELECT v.page, o.day, l.sku FROM {visits} AS v, {orders} AS o, {lines} AS l
        WHERE o.id = v.who AND l.order_id = v.who AND o.note <> 'b'""",
    "how often counts": """
        SELECT count() AS n, sum(l.price) AS paid FROM {orders} AS o
        JOIN {lines} AS l ON l.order_id = o.id JOIN {people} AS p ON p.id = o.who""",
    "a key that is none": """
        SELECT v.page, p.id, o.note FROM {visits} AS v JOIN {people} AS p ON p.id = v.who
        JOIN {orders} AS o ON o.who = v.who""",
    "twice the same table": """
        SELECT a.note AS x, b.note AS y, p.name FROM {orders} AS a, {orders} AS b, {people} AS p
        WHERE a.id = b.who AND p.id = a.who""",
    "an outer join keeps all": """
        SELECT o.id, l.sku, p.name FROM {orders} AS o LEFT JOIN {lines} AS l ON l.order_id = o.id
        LEFT JOIN {people} AS p ON p.id = o.who AND p.country = 'NL'""",
    "a full join keeps all": """
        SELECT o.id, l.sku, p.name FROM {orders} AS o JOIN {lines} AS l ON l.order_id = o.id
        FULL JOIN {people} AS p ON p.id = o.who""",
    "some row": """
        SELECT name FROM {people} AS p WHERE EXISTS (SELECT * FROM {orders} AS o
        JOIN {lines} AS l ON l.order_id = o.id WHERE o.who = p.id)""",
    "no row": """
        SELECT name FROM {people} AS p
        WHERE NOT EXISTS (SELECT note FROM {orders} AS o WHERE o.who = p.id)""",
    "an aggregate always has one": """
        SELECT name FROM {people} WHERE EXISTS (SELECT count() AS n FROM {orders} WHERE id = 99)""",
    "any row at all": """
        SELECT name FROM {people} WHERE EXISTS (SELECT * FROM {orders} WHERE note = 'b')""",
    "a cut query has none": """
        SELECT name FROM {people} WHERE NOT EXISTS (SELECT * FROM {orders} LIMIT 0)""",
    "one of some": """
        SELECT name FROM {people} WHERE id IN (SELECT who FROM {orders} WHERE note = 'a')""",
    "not one of some": """
        SELECT name FROM {people} WHERE id NOT IN (SELECT order_id FROM {lines} WHERE sku = 'y')""",
    "not one of some and of NULL": """
        SELECT name FROM {people} WHERE id NOT IN (SELECT order_id FROM {lines} WHERE sku = 'x')""",
    "one of what two make": """
        SELECT name FROM {people} WHERE id IN (
            SELECT o.who FROM {orders} AS o, {visits} AS v WHERE v.who = o.who)""",
    "each but once": """
        SELECT DISTINCT p.country, l.sku FROM {people} AS p, {orders} AS o, {lines} AS l
        WHERE o.who = p.id AND l.order_id = o.id""",
    "each but once of a window": """
        SELECT DISTINCT o.note, row_number()
            OVER (PARTITION BY p.country ORDER BY o.id, p.name) AS n
        FROM {people} AS p, {orders} AS o WHERE o.who = p.id""",
    "what the store says of it": """
        SELECT p.name, s.land, v.page FROM {people} AS p, {lands} AS s, {visits} AS v, {orders} AS o
        WHERE s.code = p.country AND s.big = 1 AND v.who = p.id AND o.who = p.id""",
    "what the store says of a link": """
        SELECT p.name, a.land FROM {people} AS p, {lands} AS a, {lands} AS b, {orders} AS o
        WHERE a.code = p.country AND b.code = a.code AND b.land LIKE 'H%' AND o.who = p.id""",
    "what the store says of an outer join": """
        SELECT p.name, s.land FROM {orders} AS o JOIN {people} AS p ON p.id = o.who
        LEFT JOIN {lands} AS s ON s.code = p.country AND s.big = 1""",
    "a count of none": """
        SELECT p.name, (SELECT count() FROM {orders} AS o, {lines} AS l
            WHERE l.order_id = o.id AND o.who = p.id) AS n FROM {people} AS p""",
    "an alias within that is one without": """
        SELECT o.note, x.n FROM {orders} AS o JOIN {lines} AS l ON l.order_id = o.id
        JOIN (SELECT o.id AS id, count() AS n FROM {people} AS o GROUP BY o.id) AS x
            ON x.id = o.who""",
    "a part that two need": """
        WITH few AS (SELECT o.who AS who FROM {orders} AS o, {lines} AS l WHERE l.order_id = o.id)
        SELECT name FROM {people}, few WHERE id = who
        UNION ALL SELECT page FROM {visits} AS v, few AS f WHERE v.who = f.who""",
    "groups and an order": """
        SELECT p.country, count(DISTINCT l.sku) AS skus, max(o.day) AS last
        FROM {people} AS p, {orders} AS o, {lines} AS l
        WHERE o.who = p.id AND l.order_id = o.id
        GROUP BY p.country HAVING count() > 1 ORDER BY skus DESC, p.country LIMIT 5""",
}  # fmt: skip


@pytest.fixture(scope="module")
def schemas(endpoints: dict[str, Any], credentials: dict[str, Any]) -> Iterator[dict[str, str]]:
    """By provider: the schema that has its tables."""
    found = {}
    with ExitStack() as stack:
        for provider, statements in MADE.items():
            owner = ROWS[provider].owner(endpoints, credentials[provider])
            run = stack.enter_context(vendors.EXECUTING[provider](owner))
            name = found[provider] = ROWS[provider].fold(f"less_{uuid.uuid4().hex[:8]}")
            run(f"CREATE SCHEMA {name}")
            stack.callback(run, f"DROP SCHEMA {name} CASCADE")
            for statement in statements:
                run(statement.format(s=name))
        yield found


@pytest.fixture
def asked(team: Team, save: Save, schemas: dict[str, str], store: Engine) -> Callable[[str], str]:
    """A query of the list, with its tables' names."""
    saved = {provider: save(provider) for provider in MADE}
    put_into_store(saved["postgres"], schemas["postgres"], {"lands": LANDS})
    where = {"orders": "postgres", "lines": "postgres", "lands": "postgres"}
    where |= {"people": "snowflake", "visits": "snowflake"}
    named = {name: f"{provider}.{schemas[provider]}.{name}" for name, provider in where.items()}
    return lambda name: QUERIES[name].format(**named)


def answered(run: Run) -> list[Row]:
    """The rows, in an order that is always the same."""
    with run:
        run.start()
        return sorted(rows_of(pa.Table.from_batches(list(run), schema=run.schema)), key=repr)


def claiming(value: Any) -> Any:
    """The query, of whose tables each claims a key: in most of them it is none."""
    if isinstance(value, tree.TableRelation):
        key = KEYS.get(value.table.name.lower(), "")
        own = [name for name, _ in value.table.columns if name.lower() == key]
        return replace(value, table=replace(value.table, key=tuple(own)))
    if isinstance(value, tuple):
        return tuple(map(claiming, value))
    if not isinstance(value, Resolved):
        return value
    return replace(value, **{one.name: claiming(getattr(value, one.name)) for one in fields(value)})


@pytest.mark.parametrize("home", MADE)
@pytest.mark.parametrize("name", [name for name in QUERIES if "NOT IN" not in QUERIES[name]])
def test_answer_is_the_same_where_a_warehouse_joins(
    team: Team, asked: Callable[[str], str], name: str, home: str
) -> None:
    found = planner.planned(team, asked(name), {})
    (source,) = [key for key, one in found.connections.items() if one.provider == home]
    legs = Legs(team, found.split(f"leg_{uuid.uuid4().hex}_"), found, str(uuid.uuid4()))
    move = move_to(found, legs.split, source)
    assert move is not None
    whole = of_whole_tables(found.query, f"leg_{uuid.uuid4().hex}_")
    here = FederatedRun(Legs(team, whole, found, str(uuid.uuid4())), Limits(60))
    there = MovedRun(legs, move, Limits(60), lambda _: pytest.fail("They were not moved."))
    assert answered(there) == answered(here)


@pytest.mark.parametrize("name", QUERIES)
def test_answer_is_that_of_whole_tables(team: Team, asked: Callable[[str], str], name: str) -> None:
    found = planner.planned(team, asked(name), {})
    ours = replace(found, query=claiming(found.query))

    def answer(make: Callable[[str], Split]) -> list[Row]:
        split = make(f"leg_{uuid.uuid4().hex}_")
        return answered(FederatedRun(Legs(team, split, found, str(uuid.uuid4())), Limits(60)))

    assert answer(ours.split) == answer(lambda prefix: of_whole_tables(found.query, prefix))
