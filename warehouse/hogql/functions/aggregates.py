"""Aggregates, and functions of windows. Each aggregate has a form with a condition: ``sumIf``.

An aggregate of no rows is NULL, a count of none is 0.
"""

from collections.abc import Sequence

from warehouse.hogql.functions.table import Form, Function, Use, forms
from warehouse.hogql.types import Type


def _totals(types: Sequence[Type]) -> Type:
    return types[0]


def _spread(name: str, word: str, means: str) -> Function:
    # The plain ones lose all digits where values are large and near each other.
    own = f"{name}Stable(_0)"
    if name.endswith("Samp"):
        # Of a single value it is NaN there, and NULL everywhere else.
        own = f"CASE WHEN count(_0) > 1 THEN {own} END"
    return Function(
        name,
        ("as_float",),
        "float",
        forms(f"{word}(_0)", clickhouse=own),
        means,
        Use.AGGREGATE,
    )


def _quantile(name: str, level: str, means: str, params: int = 0) -> Function:
    return Function(
        name,
        ("as_float",),
        "float",
        forms(
            f"PERCENTILE_CONT({level}) WITHIN GROUP (ORDER BY _0)",
            bigquery=None,
            databricks=f"PERCENTILE(_0, {level})",
            clickhouse=f"quantileExactInclusive({level})(_0)",
        ),
        means,
        Use.AGGREGATE,
        params=params,
    )


def _ranked(word: str) -> Form:
    return f"{word}(_0, _1)"


def _whole(word: str) -> Form:
    # ClickHouse would pass over a row whose value is NULL; a tuple of NULL is none.
    return f"tupleElement({word}(tuple(_0), _1), 1)"


def _latest(order: str) -> Form:
    return f"(ARRAY_AGG(_0 ORDER BY _1 {order}) FILTER (WHERE NOT _1 IS NULL))[1]"


def _numbered(name: str, means: str) -> Function:
    form = forms(f"{name.upper()}()")
    return Function(name, (), "int", form, means, Use.WINDOW, widens_in=("clickhouse",))


def _away(name: str, means: str) -> Function:
    # Where no row is so far away, ClickHouse gives 0 or '' of what cannot be NULL.
    form = forms(f"{name.upper()}(_0, _1)", clickhouse=f"{name.upper()}(toNullable(_0), _1)")
    return Function(name, ("single", "int="), "same", form, means, Use.WINDOW)


def _end_of_frame(name: str, means: str) -> Function:
    # ClickHouse's plain ones pass over NULLs.
    form = forms(f"{name.upper()}(_0)", clickhouse=f"{name}_respect_nulls(_0)")
    return Function(name, ("single",), "same", form, means, Use.WINDOW)


def _end_of_truth(name: str, postgres: str, means: str) -> Function:
    # Postgres has neither for truth values, nor has what speaks like it.
    form = forms(f"{name.upper()}(_0)", postgres=postgres, redshift=postgres)
    return Function(name, ("bool",), "bool", form, means, Use.AGGREGATE)


FUNCTIONS = (
    Function(
        "count",
        (),
        "int",
        forms("COUNT(*)"),
        "Number of rows.",
        Use.AGGREGATE,
        widens_in=("clickhouse",),
    ),
    Function(
        "count",
        ("any",),
        "int",
        forms("COUNT(_0)"),
        "Number of values not NULL.",
        Use.AGGREGATE,
        widens_in=("clickhouse",),
    ),
    Function(
        "uniq",
        ("any",),
        "int",
        forms("COUNT(DISTINCT _0)"),
        "Number of different values not NULL, exactly.",
        Use.AGGREGATE,
        widens_in=("clickhouse",),
    ),
    Function(
        "sum",
        ("int",),
        "int",
        forms("SUM(_0)"),
        "Sum.",
        Use.AGGREGATE,
        widens_in=("postgres", "redshift", "clickhouse"),
    ),
    Function(
        "sum",
        ("exact",),
        _totals,
        # As with products, what 128 bits do not hold would wrap round.
        forms("SUM(_0)", clickhouse="SUM(_0 * CAST('1' AS Decimal(76, 0)))"),
        "Sum.",
        Use.AGGREGATE,
        widens_in=("clickhouse",),
    ),
    Function("sum", ("number",), _totals, forms("SUM(_0)"), "Sum.", Use.AGGREGATE),
    Function("avg", ("as_float",), "float", forms("AVG(_0)"), "Mean, of floats.", Use.AGGREGATE),
    _end_of_truth("min", "BOOL_AND(_0)", "Least: true where all are."),
    Function("min", ("sortable",), "same", forms("MIN(_0)"), "Least.", Use.AGGREGATE),
    _end_of_truth("max", "BOOL_OR(_0)", "Greatest: true where one is."),
    Function("max", ("sortable",), "same", forms("MAX(_0)"), "Greatest.", Use.AGGREGATE),
    Function(
        "any",
        ("sortable",),
        "same",
        forms("ANY_VALUE(_0)", clickhouse="any(_0)"),
        "One of the values.",
        Use.AGGREGATE,
    ),
    Function(
        "argMax",
        ("any", "sortable"),
        "same",
        forms(
            _ranked("MAX_BY"),
            postgres=_latest("DESC"),
            redshift=None,
            clickhouse=_whole("argMax"),
        ),
        "The first where the second is greatest.",
        Use.AGGREGATE,
    ),
    Function(
        "argMin",
        ("any", "sortable"),
        "same",
        forms(
            _ranked("MIN_BY"),
            postgres=_latest("ASC"),
            redshift=None,
            clickhouse=_whole("argMin"),
        ),
        "The first where the second is least.",
        Use.AGGREGATE,
    ),
    _quantile(
        "quantile",
        "_p",
        "The value at a level from 0 to 1, exact, between two values where it falls between.",
        params=1,
    ),
    _quantile("median", "0.5", "The value in the middle: ``quantile(0.5)(x)``."),
    _spread("stddevPop", "STDDEV_POP", "Standard deviation of all."),
    _spread("stddevSamp", "STDDEV_SAMP", "Standard deviation, of a sample."),
    _spread("varPop", "VAR_POP", "Variance of all."),
    _spread("varSamp", "VAR_SAMP", "Variance, of a sample."),
    _numbered("row_number", "Number of the row, from 1."),
    _numbered("rank", "Rank, with gaps after equals."),
    _numbered("dense_rank", "Rank, without gaps."),
    _away("lag", "The value so many rows before."),
    _away("lead", "The value so many rows after."),
    _end_of_frame("first_value", "The value of the frame's first row."),
    _end_of_frame("last_value", "The value of the frame's last row."),
)
