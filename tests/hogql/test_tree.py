"""What can be asked of a resolved query's nodes, and that asking changes none."""

from collections.abc import Iterator
from dataclasses import replace

from tests.federation.test_split import CATALOG
from warehouse.hogql import tree
from warehouse.hogql.resolve import resolve
from warehouse.hogql.resolved import Resolved, moved, same

TEXT = """
WITH few AS (SELECT c_id FROM events WHERE event = 'x')
SELECT country, (SELECT max(l_price) FROM lines WHERE order_id = customers.c_id) AS most
FROM customers JOIN few ON few.c_id = customers.c_id
WHERE name IN (SELECT note FROM orders AS o) AND country <> 'NL'
"""


def test_query_names_all_that_its_parts_name() -> None:
    names = resolve(TEXT, CATALOG).names
    assert names.sources == {"", "p", "s"}
    assert names.ctes == names.ctes_made == {"few"}
    assert {("customers", "country"), ("lines", "order_id"), ("o", "note")} <= names.columns
    assert names.aliases == set()


def test_query_in_a_query_names_what_is_around_it() -> None:
    query = resolve(TEXT, CATALOG)
    (scalar,) = (node for node in query.walk() if isinstance(node, tree.Scalar))
    assert scalar.names.aliases == {"customers"}


def test_node_is_the_same_after_it_was_asked() -> None:
    asked, other = resolve(TEXT, CATALOG), resolve(TEXT, CATALOG)
    assert asked.names == replace(asked).names
    assert same(asked, other)
    assert same(other, asked)
    assert asked == other
    assert same(moved(asked, 7), other)
    assert {node.at for node in moved(asked, 7).walk()} == {7}


def test_walk_comes_by_every_node() -> None:
    def every(part: object) -> Iterator[Resolved]:
        if isinstance(part, Resolved):
            yield part
        for one in part if isinstance(part, tuple) else vars(part).values():
            if isinstance(one, Resolved | tuple):
                yield from every(one)

    query = resolve(TEXT, CATALOG)
    assert [*map(id, query.walk())] == [*map(id, every(query))]
