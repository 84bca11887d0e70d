"""Every function in every dialect that has it, by the values of ``battery``."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.hogql.battery import AGGREGATES, BATTERY, ROWS, VALUES, WINDOWS
from tests.hogql.compare import same
from tests.hogql.conftest import PROVIDERS
from tests.hogql.engines import ClickHouse, of_connector
from warehouse.hogql.catalog import Catalog
from warehouse.hogql.errors import FunctionRefused, HogQLRefused
from warehouse.hogql.functions.lookup import FUNCTIONS
from warehouse.hogql.printing.dialects import DIALECTS
from warehouse.hogql.read import read
from warehouse.hogql.translate import translate

NOTHING = Catalog(())
GAPS = {
    "snowflake": {"toString(day)": "the stand-in has TO_CHAR without formats"},
    "bigquery": {
        r"odd LIKE '100\\%\\_%'": "the stand-in's LIKE has no escape sign",
        r"odd LIKE '%\\\\'": "the stand-in's LIKE has no escape sign",
    },
}
ENGINES = (*PROVIDERS, "clickhouse")
Engine = tuple[str, Callable[[str], list[tuple[Any, ...]]]]


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest, opened_bare: Any) -> Iterator[Engine]:
    """The dialect's name, and what runs HogQL in it."""
    if request.param != "clickhouse":
        connector = opened_bare(request.param)
        yield connector.capabilities.dialect, of_connector(connector, NOTHING)
        return
    clickhouse = ClickHouse()
    yield "clickhouse", lambda text: clickhouse.run(text, NOTHING)
    clickhouse.close()


def _sayable(dialect: str, found: list[tuple[str, Any]], query: str) -> list[tuple[str, Any]]:
    """Those of the expressions that the dialect has, and its stand-in can run."""
    gaps = GAPS.get(dialect, {})
    return [one for one in found if one[0] not in gaps and _is_there(dialect, one[0], query)]


def _is_there(dialect: str, expr: str, query: str) -> bool:
    try:
        translate(query.format(expr), NOTHING, dialect)
    except FunctionRefused:
        return False
    except HogQLRefused as exc:
        return DIALECTS[dialect].label not in exc.detail
    return True


@pytest.mark.parametrize(
    ("engine", "expr"),
    [
        pytest.param(dialect, expr, marks=pytest.mark.xfail(reason=reason, strict=True))
        for dialect, gaps in GAPS.items()
        for expr, reason in gaps.items()
    ],
    indirect=["engine"],
)
def test_what_a_stand_in_cannot_run(engine: Engine, expr: str) -> None:
    _, run = engine
    wanted = dict(BATTERY)[expr]
    assert same(run(f"SELECT {expr} FROM ({VALUES}) AS t")[0][0], wanted)


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_each_expression_is_worth_the_same_everywhere(engine: Engine) -> None:
    dialect, run = engine
    query = "SELECT {} FROM (" + VALUES + ") AS t"
    found = _sayable(dialect, BATTERY, query)
    exprs = ", ".join(f"{expr} AS c{n}" for n, (expr, _) in enumerate(found))
    (row,) = run(query.format(exprs))
    wrong = [
        (expr, ours, wanted)
        for (expr, wanted), ours in zip(found, row, strict=True)
        if not same(ours, wanted)
    ]
    assert not wrong, wrong


BY_GROUP = "SELECT {} FROM (" + ROWS + ") AS t GROUP BY g ORDER BY g"
OF_EACH_ROW = "SELECT {} FROM (" + ROWS + ") AS t ORDER BY g, d"


@pytest.mark.parametrize(
    ("cases", "query"),
    [
        pytest.param(AGGREGATES, BY_GROUP, id="aggregate"),
        pytest.param(WINDOWS, OF_EACH_ROW, id="window"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_each_of_many_rows_is_worth_the_same_everywhere(
    engine: Engine, cases: list[tuple[str, Any]], query: str
) -> None:
    dialect, run = engine
    found = _sayable(dialect, cases, query)
    rows = run(query.format(", ".join(f"{e} AS c{n}" for n, (e, _) in enumerate(found))))
    wrong = [
        (expr, ours, wanted)
        for (expr, wanted), ours in zip(found, zip(*rows, strict=True), strict=True)
        if not all(map(same, ours, wanted))
    ]
    assert not wrong, wrong


def test_every_function_is_tried() -> None:
    tried = "\n".join(expr for expr, _ in (*BATTERY, *AGGREGATES, *WINDOWS))
    names = {function.name for function in FUNCTIONS}
    by_operator = set(
        """and or not plus minus multiply divide modulo equals notEquals less greater lessOrEquals
        greaterOrEquals isNull isNotNull like notLike ilike notILike ifNull daysBetween
        arrayElement""".split()
    )
    steps = {name for name in names if name.startswith(("add", "subtract"))}
    untried = {n for n in names - by_operator - steps if f"{n.lower()}(" not in tried.lower()}
    assert not untried, untried


def test_the_values_are_hogql() -> None:
    assert read(VALUES)
    assert read(ROWS)
