"""What ClickHouse would answer otherwise as it is written, or not at all."""

from collections.abc import Iterator

import pytest

from tests.hogql.conftest import OpenOne
from tests.hogql.engines import ClickHouse, Row, of_connector
from warehouse.hogql.catalog import Catalog

NOTHING = Catalog(())
# ClickHouse makes one of constants that are equal.
ZEROS = "(SELECT k, (k - 2) * 0e0 AS f FROM (SELECT 1 AS k UNION ALL SELECT 2 AS k) AS r)"
QUERIES = {
    f"SELECT f, count() AS n FROM {ZEROS} AS z GROUP BY f": [(0.0, 2)],
    f"SELECT f * 2 + f AS g, count() AS n FROM {ZEROS} AS z GROUP BY f, f * 2 HAVING f < 1": [
        (0.0, 2)
    ],
    f"SELECT count() AS n FROM {ZEROS} AS z GROUP BY f ORDER BY f": [(2,)],
    f"SELECT DISTINCT f FROM {ZEROS} AS z ORDER BY f": [(0.0,)],
    f"SELECT uniq(f) AS n, count(DISTINCT f) AS m FROM {ZEROS} AS z": [(1, 1)],
    f"SELECT count() AS n FROM {ZEROS} AS a JOIN {ZEROS} AS b ON a.f = b.f": [(4,)],
    f"SELECT count() AS n FROM {ZEROS} AS a CROSS JOIN {ZEROS} AS b WHERE a.f = b.f": [(4,)],
    f"SELECT count() AS n FROM {ZEROS} AS a LEFT JOIN {ZEROS} AS b ON a.f = b.f AND a.k < b.k": [
        (2,)
    ],
    f"SELECT count() AS n FROM {ZEROS} AS a WHERE f IN (SELECT f FROM {ZEROS} AS b WHERE k = 2)": [
        (2,)
    ],
    f"SELECT count() AS n FROM {ZEROS} AS a WHERE f IN (0e0, 7e0)": [(2,)],
    f"SELECT count() AS n FROM {ZEROS} AS a "
    f"WHERE EXISTS (SELECT 1 AS one FROM {ZEROS} AS b WHERE b.f = a.f AND b.k = 2)": [(2,)],
    f"SELECT count() AS n FROM {ZEROS} AS a WHERE EXISTS "
    f"(SELECT b.k AS k FROM {ZEROS} AS b WHERE b.k = a.k AND b.k = 2 ORDER BY k LIMIT 3)": [(1,)],
    f"SELECT f FROM {ZEROS} AS a UNION DISTINCT SELECT f FROM {ZEROS} AS b": [(0.0,)],
    f"SELECT f FROM {ZEROS} AS a WHERE k = 1 INTERSECT SELECT f FROM {ZEROS} AS b WHERE k = 2": [
        (0.0,)
    ],
    f"SELECT f FROM {ZEROS} AS a WHERE k = 1 EXCEPT SELECT f FROM {ZEROS} AS b WHERE k = 2": [],
    f"SELECT count() OVER (PARTITION BY f) AS n FROM {ZEROS} AS a": [(2,), (2,)],
    f"SELECT k FROM {ZEROS} AS a ORDER BY k LIMIT 1 BY f": [(1,)],
    f"SELECT k FROM {ZEROS} AS a QUALIFY row_number() OVER (PARTITION BY f ORDER BY k) = 1": [(1,)],
}

BEFORE = f"(SELECT count() FROM {ZEROS} AS s WHERE s.k < a.k)"
QUERIES |= {
    f"SELECT a.k AS k, {BEFORE} AS n FROM {ZEROS} AS a ORDER BY n DESC": [(2, 1), (1, 0)],
    f"SELECT k FROM {ZEROS} AS a ORDER BY {BEFORE} DESC, k LIMIT 1": [(2,)],
}

GAPS = (
    "(SELECT 1 AS k, 10 AS v UNION ALL SELECT 2 AS k, NULL AS v UNION ALL SELECT 3 AS k, 30 AS v)"
)
QUERIES |= {
    f"SELECT {name}(v) OVER (ORDER BY k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS f "
    f"FROM {GAPS} AS g ORDER BY k": rows
    for name, rows in {
        "first_value": [(10,), (10,), (None,)],
        "last_value": [(10,), (None,), (30,)],
    }.items()
}
QUERIES |= {
    f"SELECT argMax(v, k) AS a, argMin(k, v) AS b FROM {GAPS} AS g WHERE k < 3": [(None, 1)],
    f"SELECT argMaxIf(v, k, k < 2) AS a, argMinIf(v, k, k > 3) AS b FROM {GAPS} AS g": [(10, None)],
}

QUERIES |= {
    f"SELECT min(v = 10) AS a, max(v = 10) AS b, min(v > 0) AS c, maxIf(v > 0, k > 3) AS d "
    f"FROM {GAPS} AS g": [(False, True, True, None)],
}

WORDS = "(SELECT 'ab' AS w, -3 AS n UNION ALL SELECT 'abc' AS w, 3 AS n)"
QUERIES |= {
    f"SELECT length(w) AS c FROM {WORDS} AS a INTERSECT SELECT n FROM {WORDS} AS b": [(3,)],
    f"SELECT count() AS c FROM {WORDS} AS a EXCEPT SELECT n - 1 FROM {WORDS} AS b": [],
    f"SELECT abs(n) AS c FROM {WORDS} AS a UNION DISTINCT SELECT n FROM {WORDS} AS b WHERE n > 0": [
        (3,)
    ],
    f"SELECT if(n < 0, n, position(w, 'b')) AS c, coalesce(nullIf(n, 3), length(w)) AS d "
    f"FROM {WORDS} AS a ORDER BY c": [(-3, -3), (2, 3)],
    f"SELECT if(n < 0, n, uniq(w)) AS c, if(n > 0, n, sum(1)) AS d, countIf(w = 'ab') AS e "
    f"FROM {WORDS} AS a GROUP BY n ORDER BY c": [(-3, 1, 1), (1, 3, 0)],
    f"SELECT if(n < 0, n, row_number() OVER (ORDER BY w)) AS c FROM {WORDS} AS a ORDER BY c": [
        (-3,),
        (2,),
    ],
}


@pytest.fixture(scope="module")
def clickhouse() -> Iterator[ClickHouse]:
    engine = ClickHouse()
    yield engine
    engine.close()


@pytest.mark.parametrize("text", QUERIES)
def test_store_answers_as_a_warehouse_does(
    text: str, clickhouse: ClickHouse, opened_bare: OpenOne
) -> None:
    wanted: list[Row] = QUERIES[text]
    assert of_connector(opened_bare("postgres"), NOTHING)(text) == wanted
    assert clickhouse.run(text, NOTHING) == wanted
