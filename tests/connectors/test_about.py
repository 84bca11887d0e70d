"""What of a warehouse's words about a missing name is told, in each warehouse's own words."""

import pytest

from connectors import about
from connectors.errors import ObjectNotFound, QueryError

SQL = 'SELECT t.total FROM "shop"."orders" AS t JOIN Shop.Lines ON name = view OR true'


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('relation "shop.lines" does not exist\nLINE 1: …', "Shop.Lines"),
        ("column t.total does not exist", "t.total"),
        ("Object 'ANALYTICS.SHOP.LINES' does not exist or not authorized.", "Shop.Lines"),
        ("error line 1 at position 7\ninvalid identifier 'T.TOTAL'", "t.total"),
        ("404 POST x.test: Not found: Table my-prj:shop.orders was not found", "shop.orders"),
        ("[TABLE_OR_VIEW_NOT_FOUND] The table or view `shop`.`lines` is not found.", "Shop.Lines"),
        ("A column or function parameter with name `total` cannot be resolved.", "total"),
        ('relation "secrets" does not exist', None),
        ("the view or table is gone", None),
    ],
)  # fmt: skip
def test_name_is_told_where_the_query_has_it(said: str, name: str | None) -> None:
    with pytest.raises(ObjectNotFound) as caught, about.told(SQL, (), ""):
        raise ObjectNotFound from QueryError(said)
    assert caught.value.fields.get("sql") == name
