"""What a name reaches beyond columns: members of documents, and other tables by their keys."""

import pytest

from warehouse.hogql import types
from warehouse.hogql.catalog import Catalog, CatalogTable, Link
from warehouse.hogql.errors import HogQLRefused, HogQLTooComplex, NameAmbiguous, NameUnknown
from warehouse.hogql.links import Declared, LinkedCatalog
from warehouse.hogql.printing.dialects import DIALECTS
from warehouse.hogql.translate import translate

COUNTRY = CatalogTable("t", ("countries",), (("code", types.STRING), ("name", types.STRING)))
USERS = CatalogTable(
    "t",
    ("users",),
    (("id", types.INT), ("tenant", types.STRING), ("country", types.STRING), ("doc", types.JSON)),
    links={"home": Link(COUNTRY, (("country", "code"),))},
    as_text=frozenset({"tenant"}),
    stored_as=("main", "users_v2"),
)
ORDERS = CatalogTable(
    "t",
    ("orders",),
    (("user_id", types.INT), ("tenant", types.STRING), ("doc", types.JSON)),
    links={"buyer": Link(USERS, (("user_id", "id"), ("tenant", "tenant")))},
    shortcuts={"nation": ("buyer", "home")},
    as_text=frozenset({"tenant"}),
)
CATALOG = Catalog((ORDERS, USERS, COUNTRY))


def printed(text: str, dialect: str = "clickhouse") -> str:
    return translate(text, CATALOG, dialect).sql


def test_a_link_is_joined_by_all_its_keys_and_once() -> None:
    sql = printed("SELECT buyer.country, buyer.id FROM orders WHERE buyer.id > 1")
    assert sql.count("JOIN") == 1
    assert (
        'LEFT JOIN "main"."users_v2" AS "orders__buyer" ON ("orders"."user_id" = '
        '"orders__buyer"."id") AND ("orders"."tenant" = "orders__buyer"."tenant")'
    ) in sql


def test_links_of_links_come_after_what_they_hang_on() -> None:
    sql = printed(
        "SELECT o.nation.name FROM orders AS o JOIN users AS u ON o.nation.name = u.country"
    )
    places = [sql.index(f'AS "{alias}"') for alias in ("o", "o__buyer", "o__buyer__home", "u")]
    assert places == sorted(places)


def test_a_relation_of_the_query_goes_before_a_link() -> None:
    sql = printed("SELECT buyer.doc.x FROM orders JOIN users AS buyer ON orders.user_id = buyer.id")
    assert "orders__buyer" not in sql


def test_a_link_around_a_subquery_is_joined_there() -> None:
    sql = printed(
        "SELECT user_id FROM orders AS o WHERE EXISTS (SELECT 1 FROM users WHERE id = o.buyer.id)"
    )
    assert sql.index("o__buyer") < sql.index("EXISTS")


def test_a_link_takes_no_alias_that_is_in_use() -> None:
    sql = printed("SELECT buyer.id FROM orders, users AS orders__buyer".replace(",", " CROSS JOIN"))
    assert '"orders__buyer_2"."id"' in sql


def test_a_link_leads_to_its_table_whatever_a_query_calls_its_own() -> None:
    sql = printed(
        "WITH Countries AS (SELECT 1 AS code), countries_2 AS (SELECT 2 AS code) "
        "SELECT o.nation.name FROM orders AS o JOIN countries AS c ON c.code = 1 "
        "JOIN countries_2 AS d ON d.code = 2"
    )
    assert 'WITH "Countries_2" AS' in sql
    assert 'JOIN "Countries_2" AS "c"' in sql
    assert 'JOIN "countries_2_2" AS "d"' in sql
    assert 'JOIN "countries" AS "o__buyer__home"' in sql


def test_a_document_is_read_by_a_path_and_as_a_type() -> None:
    sql = printed("SELECT doc.a.$b AS x, toInt(doc.n) AS n, CAST(doc.t AS Bool) AS t FROM orders")
    assert "'a', '$b', 'Nullable(String)'" in sql
    assert "'n', 'Nullable(Int64)'" in sql
    assert "'t', 'Nullable(Bool)'" in sql


@pytest.mark.parametrize(
    ("member", "dialect"),
    [
        ("doc.a", "redshift"),
        ("doc.a", "databricks"),
        ("toFloat(doc.a)", "postgres"),
        ("doc['a\"b']", "snowflake"),
        ("doc['a\\\\b']", "bigquery"),
        ("doc['']", "bigquery"),
    ],
)
def test_where_a_member_cannot_be_read_it_is_refused(member: str, dialect: str) -> None:
    with pytest.raises(HogQLRefused, match=DIALECTS[dialect].label):
        printed(f"SELECT {member} FROM orders", dialect)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SELECT buyer FROM orders", NameUnknown),
        ("SELECT buyer.nothing FROM orders", NameUnknown),
        ("SELECT tenant.x FROM orders", NameUnknown),
        ("SELECT doc.x FROM orders AS a CROSS JOIN users AS b", NameAmbiguous),
        ("SELECT 1 FROM users AS u JOIN orders AS o ON o.buyer.id = u.id", HogQLRefused),
        ("SELECT * FROM (SELECT user_id FROM orders) AS o WHERE o.buyer.id = 1", NameUnknown),
    ],
)
def test_what_leads_nowhere_is_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        printed(text)


def test_a_column_that_only_its_warehouse_knows_is_seen_as_text() -> None:
    sql = printed("SELECT tenant AS t FROM users WHERE tenant = 'a'")
    assert sql.count("toString(") == 2
    assert 'toString("users"."tenant") AS "t"' in sql
    # By a link two of them are compared as they are.
    assert "toString" not in printed("SELECT buyer.id FROM orders")
    assert printed("SELECT * FROM users").count("toString(") == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("SELECT o.tenant AS o, o.doc.x AS x FROM orders AS o", '"o"."doc", \'x\''),
        ("SELECT doc AS d, d.x AS x FROM orders", '"orders"."doc", \'x\''),
        ("SELECT doc AS buyer, buyer.x AS x FROM orders", '"orders"."doc", \'x\''),
    ],
)
def test_an_alias_goes_before_a_column_and_after_a_relation(text: str, wanted: str) -> None:
    assert f"JSONExtract({wanted}, " in printed(text)


def declared(name: str, table: str, joined: str, *keys: tuple[str, str]) -> Declared:
    return Declared(name, (table,), (joined,), keys)


def test_a_declared_link_also_hangs_on_a_link_and_may_lead_back() -> None:
    catalog = LinkedCatalog(
        CATALOG,
        [
            declared("users", "countries", "users", ("code", "country")),
            declared("own", "orders", "countries", ("tenant", "code")),
        ],
    )
    text = "SELECT buyer.home.users.home.name AS x, own.users.id AS y FROM orders"
    sql = translate(text, catalog, "clickhouse").sql
    assert sql.count("LEFT JOIN") == 6
    # A uuid beside a text.
    assert 'toString("orders"."tenant") = "orders__own"."code"' in sql


def test_a_declared_link_to_what_is_not_there_does_not_exist() -> None:
    gone = [
        declared("own", "orders", "nothing", ("tenant", "code")),
        declared("own", "orders", "countries", ("nothing", "code")),
    ]
    catalog = LinkedCatalog(CATALOG, gone)
    assert [table.links for table in catalog.tables] == [table.links for table in CATALOG.tables]


def test_links_in_a_circle_are_followed_so_far() -> None:
    catalog = LinkedCatalog(CATALOG, [declared("users", "countries", "users", ("code", "country"))])
    chain = ".".join(["home.users"] * 9)
    assert translate(f"SELECT {chain}.id FROM users", catalog, "clickhouse")
    with pytest.raises(HogQLTooComplex, match="joins by name"):
        translate(f"SELECT {chain}.{chain}.id FROM users", catalog, "clickhouse")
