"""Operators, conditions and numbers."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce

from sqlglot import exp

from warehouse.hogql.functions.table import Form, Function, forms
from warehouse.hogql.types import DECIMAL, FLOAT, INT, Kind, Type, common

Args = Sequence[exp.Expr]


def chained(kind: type[exp.Expr]) -> Form:
    return lambda args: reduce(lambda a, b: kind(this=_apart(a), expression=_apart(b)), args)


def _apart(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node) if isinstance(node, exp.Binary | exp.Not | exp.Predicate) else node


def _case(args: Args) -> exp.Expr:
    """``c1, v1, c2, v2, …, otherwise``."""
    pairs = zip(args[:-1:2], args[1:-1:2], strict=True)
    ifs = [exp.If(this=condition, true=value) for condition, value in pairs]
    return exp.Case(ifs=ifs, default=args[-1])


def _coalesce(args: Args) -> exp.Expr:
    return exp.Coalesce(this=args[0], expressions=list(args[1:]))


def _like(*, folds: bool, negated: bool, escape: bool = False, lowers: bool = False) -> Form:
    def form(args: Args) -> exp.Expr:
        text, pattern = map(_apart, args)
        if folds and lowers:
            text, pattern = (exp.Lower(this=one) for one in (text, pattern))
        kind = exp.ILike if folds and not lowers else exp.Like
        found: exp.Expr = kind(this=text, expression=pattern)
        if escape:
            found = exp.Escape(this=found, expression=exp.Literal.string("\\"))
        return exp.Not(this=exp.Paren(this=found)) if negated else found

    return form


def _likes(*, folds: bool, negated: bool) -> dict[str, Form]:
    # Snowflake's patterns have no escape sign unless one is named; a backslash is everywhere else.
    return forms(
        _like(folds=folds, negated=negated),
        snowflake=_like(folds=folds, negated=negated, escape=True),
        bigquery=_like(folds=folds, negated=negated, lowers=True),
    )


def _sum_of_scales(types: Sequence[Type]) -> Type:
    found = common(*types) or FLOAT
    scales = [0 if one.kind == Kind.INT else one.scale for one in types]
    if found.kind != Kind.DECIMAL or None in scales:
        return Type(found.kind)
    total = sum(scale or 0 for scale in scales)
    return Type(Kind.DECIMAL, scale=total if total <= 37 else None)


def _widest(types: Sequence[Type]) -> Type:
    return common(*types) or INT


def _rounded(types: Sequence[Type]) -> Type:
    return DECIMAL


def _whole(types: Sequence[Type]) -> Type:
    return Type(Kind.DECIMAL, scale=0)


def _compare(name: str, sign: str, means: str) -> Function:
    return Function(name, ("any", "any"), "bool", forms(f"_0 {sign} _1"), means, agree=())


# ClickHouse reckons decimals of up to 18 digits in 64 bits, and fails where the result has more.
_WIDE = "_0 * CAST('1' AS Decimal(38, 0))"
# Products that 128 bits do not hold wrap round there; a cast of what 256 bits do fails.
_WIDEST = "_0 * CAST('1' AS Decimal(76, 0))"


def _arithmetic(
    name: str,
    sign: str,
    returns: Callable[[Sequence[Type]], Type],
    means: str,
    wide: str = _WIDE,
    widens_in: tuple[str, ...] = (),
) -> Iterator[Function]:
    plain = f"_0 {sign} _1"

    def made(takes: str, in_store: str, widens_in: tuple[str, ...] = ()) -> Function:
        form = forms(plain, clickhouse=in_store)
        both = (takes, takes)
        return Function(name, both, returns, form, means, agree=(), widens_in=widens_in)

    yield made("int", plain)
    yield made("exact", f"{wide} {sign} _1", widens_in)
    yield made("number", plain)


# Half away from zero: the engine's own rounds halves to even.
_ROUND_FLOAT_CLICKHOUSE = "sign(_0) * floor(abs(_0) * pow(10, _1) + 0.5) / pow(10, _1)"
_ROUND_FLOAT_POSTGRES = "CAST(ROUND(CAST(_0 AS DECIMAL), _1) AS DOUBLE PRECISION)"

FUNCTIONS = (
    *_arithmetic("plus", "+", _widest, "Sum."),
    *_arithmetic("minus", "-", _widest, "Difference."),
    *_arithmetic("multiply", "*", _sum_of_scales, "Product.", _WIDEST, ("clickhouse",)),
    Function(
        "divide",
        ("as_float", "as_float"),
        "float",
        forms("_0 / NULLIF(_1, 0)"),
        "Quotient of two floats, whatever was given; NULL where the divisor is 0.",
    ),
    Function(
        "intDiv",
        ("whole", "whole"),
        "int",
        forms(
            None,
            postgres="_0 / NULLIF(_1, 0)",
            redshift="_0 / NULLIF(_1, 0)",
            bigquery="DIV(_0, NULLIF(_1, 0))",
            snowflake="CAST((_0 - MOD(_0, NULLIF(_1, 0))) / NULLIF(_1, 0) AS DECIMAL(38, 0))",
            databricks="_0 DIV NULLIF(_1, 0)",
            clickhouse="intDiv(_0, NULLIF(_1, 0))",
        ),
        "Quotient without its fraction, towards 0; NULL where the divisor is 0.",
    ),
    Function(
        "modulo",
        ("whole", "whole"),
        "int",
        forms("MOD(_0, NULLIF(_1, 0))", clickhouse="modulo(_0, NULLIF(_1, 0))"),
        "Rest of a division, with the sign of the dividend; NULL where the divisor is 0.",
    ),
    _compare("equals", "=", "Equal; NULL where one is NULL."),
    _compare("notEquals", "<>", "Not equal; NULL where one is NULL."),
    _compare("less", "<", "Less."),
    _compare("greater", ">", "Greater."),
    _compare("lessOrEquals", "<=", "Less or equal."),
    _compare("greaterOrEquals", ">=", "Greater or equal."),
    Function("and", ("bool*",), "bool", forms(chained(exp.And)), "All are true.", least=2),
    Function("or", ("bool*",), "bool", forms(chained(exp.Or)), "One is true.", least=2),
    Function("not", ("bool",), "bool", forms("NOT (_0)"), "Is false."),
    Function("isNull", ("any",), "bool", forms("_0 IS NULL"), "Is NULL."),
    Function("isNotNull", ("any",), "bool", forms("NOT (_0 IS NULL)"), "Is not NULL."),
    Function(
        "like",
        ("text", "text"),
        "bool",
        _likes(folds=False, negated=False),
        "Fits a pattern: % any text, _ one character, \\ before either for itself.",
    ),
    Function(
        "notLike", ("text", "text"), "bool", _likes(folds=False, negated=True), "The opposite."
    ),
    Function("ilike", ("text", "text"), "bool", _likes(folds=True, negated=False), "In any case."),
    Function(
        "notILike", ("text", "text"), "bool", _likes(folds=True, negated=True), "The opposite."
    ),
    Function(
        "if",
        ("bool", "any", "any"),
        lambda types: _widest(types[1:]),
        forms(_case),
        "The second where the first is true, else (false or NULL) the third.",
        agree=(1, 2),
    ),
    Function(
        "coalesce", ("any*",), _widest, forms(_coalesce), "The first not NULL.", agree=(), least=1
    ),
    Function("ifNull", ("any", "any"), _widest, forms(_coalesce), "The first not NULL.", agree=()),
    Function(
        "nullIf", ("any", "any"), "same", forms("NULLIF(_0, _1)"), "NULL where equal.", agree=()
    ),
    # Numbers.
    Function(
        "abs", ("int",), "int", forms("ABS(_0)"), "Without its sign.", widens_in=("clickhouse",)
    ),
    Function("abs", ("number",), "same", forms("ABS(_0)"), "Without its sign."),
    Function("floor", ("int",), "int", forms("_0"), "Itself."),
    Function("floor", ("decimal",), _whole, forms("FLOOR(_0)"), "Largest whole number below."),
    Function("floor", ("float",), "float", forms("FLOOR(_0)"), "Largest whole number below."),
    Function("ceil", ("int",), "int", forms("_0"), "Itself."),
    Function("ceil", ("decimal",), _whole, forms("CEIL(_0)"), "Least whole number above."),
    Function("ceil", ("float",), "float", forms("CEIL(_0)"), "Least whole number above."),
    Function(
        "round",
        ("decimal", "int="),
        _rounded,
        forms("ROUND(_0, _1)", clickhouse=None),
        "To so many digits after the point, halves away from 0.",
    ),
    Function(
        "round",
        ("float", "int="),
        "float",
        forms(
            "ROUND(_0, _1)",
            clickhouse=_ROUND_FLOAT_CLICKHOUSE,
            postgres=_ROUND_FLOAT_POSTGRES,
            redshift=_ROUND_FLOAT_POSTGRES,
        ),
        "To so many digits after the point, halves away from 0.",
    ),
    Function("sqrt", ("as_float",), "float", forms("SQRT(_0)"), "Square root."),
    Function("exp", ("as_float",), "float", forms("EXP(_0)"), "e to that power."),
    Function("ln", ("as_float",), "float", forms("LN(_0)"), "Natural logarithm."),
    Function("pow", ("as_float", "as_float"), "float", forms("POWER(_0, _1)"), "Power."),
    Function("toInt", ("int",), "int", forms("_0"), "Itself."),
    Function(
        "toInt",
        ("number",),
        "int",
        forms(
            "CAST(TRUNC(_0) AS BIGINT)",
            clickhouse="CAST(TRUNC(_0) AS Nullable(Int64))",
            databricks="CAST(_0 AS BIGINT)",
        ),
        "Without its fraction, towards 0.",
    ),
    Function(
        "toInt",
        ("text",),
        "int",
        # Of text that spells none, a cast to a type with NULL would make NULL.
        forms("CAST(_0 AS BIGINT)", clickhouse="toInt64(_0)"),
        "What the text spells.",
    ),
    Function("toFloat", ("as_float",), "float", forms("_0"), "The nearest double."),
)
MULTI_IF = Function(
    "multiIf",
    ("any*",),
    _widest,
    forms(_case),
    "The value after the first condition that is true; the last where none is.",
    least=3,
)
