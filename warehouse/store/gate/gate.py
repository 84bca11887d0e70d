"""Judges a user's SELECT, node by node and then word by word, and prints it."""

import re
from collections.abc import Iterator

from sqlglot import exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.errors import ErrorLevel, UnsupportedError
from sqlglot.generators.clickhouse import ClickHouseGenerator
from sqlglot.tokenizer_core import Token, TokenType

from connectors import sql_guard
from connectors.errors import SqlRefused
from warehouse.store.gate import functions, tables

DIALECT = "clickhouse"

_NODES = (
    exp.Select, exp.SetOperation, exp.Subquery, exp.From, exp.Join, exp.Table, exp.TableAlias,
    exp.With, exp.CTE, exp.Where, exp.PreWhere, exp.Group, exp.Having, exp.Qualify, exp.Order,
    exp.Ordered, exp.Limit, exp.Offset, exp.Final, exp.TableSample, exp.GroupingSets, exp.Cube,
    exp.Rollup, exp.Distinct, exp.Window, exp.WindowSpec, exp.WithFill, exp.Identifier, exp.Column,
    exp.Star, exp.Alias, exp.Aliases, exp.Literal, exp.HexString, exp.Boolean, exp.Null, exp.Paren,
    exp.Tuple, exp.Dot, exp.Bracket, exp.Slice, exp.Lambda, exp.Interval, exp.Var, exp.DataType,
    exp.DataTypeParam, exp.ColumnDef, exp.Placeholder, exp.Binary, exp.Unary, exp.Between, exp.In,
    exp.Func, exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.JSONPath, exp.JSONPathRoot,
    exp.JSONPathKey, exp.JSONPathSubscript,
)  # fmt: skip
"""Kinds of nodes that a query may consist of; calls among them are judged by name."""

_NOT_THESE = (exp.Apply, exp.Columns, exp.Values, exp.Unnest, exp.Lateral, exp.Hint, exp.Pivot)
"""Kinds that would pass as one of the above."""

_PARTS: dict[type[exp.Expr], frozenset[str]] = {
    exp.Select: frozenset(
        "with_ expressions distinct from_ joins prewhere where group having qualify windows order "
        "limit offset sample".split()
    ),
    exp.Table: frozenset("this db catalog alias sample joins".split()),
    exp.TableAlias: frozenset({"this"}),
    exp.Subquery: frozenset("this alias sample joins with_ order limit offset".split()),
}
"""What these may have: the parser knows more of other dialects, and drops it or takes one for
another, as in FROM dictionary('d')."""

_CLAUSES = {
    "settings": "SETTINGS are chosen by the service.",
    "format": "The format of a result is chosen by the service.",
    "into": "A result cannot be written anywhere.",
    "hint": "Hints are not allowed.",
    "locks": "Rows cannot be locked.",
}

# What a name may consist of. The quotes and the backslash end or alter a quoted name.
_NAME = re.compile(r"""[^\\`'"\x00-\x1f\x7f\u2018-\u201f]+""")
_WORDS = re.compile(r"[\w ]*")
_NUMBER = re.compile(r"[0-9][0-9a-zA-Z_.]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?")

_BEFORE_PARENTHESES = frozenset(
    """ALL AND ANY AS ASOF BETWEEN BY CASE CROSS DISTINCT DIV ELSE EXCEPT EXISTS FROM FULL GLOBAL
    HAVING ILIKE IN INNER INTERSECT IS JOIN LEFT LIKE LIMIT MOD NOT OFFSET ON OR OUTER OVER PREWHERE
    QUALIFY REPLACE RIGHT SAMPLE SELECT SEMI SETS THEN TO UNION USING WHEN WHERE WITH CUBE ROLLUP
    STEP FILTER ANTI""".split()
)
_WORDS_ALONE = frozenset(
    """FILL TOTALS TIES ANTI ASOF SAMPLE PREWHERE FINAL STEP TO RECURSIVE PRECEDING FOLLOWING
    UNBOUNDED CURRENT ROW ROWS RANGE NULLS FIRST LAST IGNORE RESPECT SETS BOTH LEADING TRAILING
    SECOND MINUTE HOUR DAY WEEK MONTH QUARTER YEAR MILLISECOND MICROSECOND NANOSECOND DIV MOD
    OFFSET ONLY NEXT BY""".split()
)
_SPELT_OUT = frozenset({TokenType.VAR})


def admit(sql: str, database: str) -> str:
    """The same query, printed, over tables of ``database`` only. Raises SqlRefused.

    Reasons: those of ``sql_guard.parse``, ``not_a_query``, ``clause``, ``construct``, ``function``,
    ``table``, ``table_function``, ``in_table``, ``parameter``, ``name``, ``word``.
    """
    tree, _ = sql_guard.parse(sql, DIALECT)
    if not isinstance(tree, exp.Query):
        raise SqlRefused("not_a_query", "Only a query may be run here.")
    for node in tree.walk():
        _judge(node)
    tables.resolve(tree, database)
    printed = _print(tree)
    for token, opens in _words(printed):
        _judge_word(token, opens)
    return printed


def _judge(node: exp.Expr) -> None:
    if isinstance(node, _NOT_THESE) or not isinstance(node, _NODES):
        raise SqlRefused("construct", f"{node.key.upper()} is not allowed here.")
    parts = _PARTS.get(type(node))
    if isinstance(node, exp.Query):
        _judge_clauses(node)
    if parts and not parts.issuperset(name for name, value in node.args.items() if value):
        raise SqlRefused("construct", "The query has a part that is not allowed here.")
    match node:
        case exp.In():
            _judge_in(node)
        case exp.Placeholder():
            _judge_placeholder(node)
        case exp.Anonymous() | exp.AnonymousAggFunc():
            _judge_call(node.name)
        case exp.TableAlias() if node.name.upper() == "PASTE":
            raise SqlRefused("construct", "PASTE JOIN is not allowed here.")
    _judge_texts(node)


def _judge_clauses(node: exp.Query) -> None:
    for clause, sentence in _CLAUSES.items():
        if node.args.get(clause):
            raise SqlRefused("clause", sentence)


def _judge_in(node: exp.In) -> None:
    """A name behind IN is that of a table, and so is one in parentheses of its own."""
    members = node.expressions
    lone = node.args.get("field") or (members[0] if len(members) == 1 else None)
    while isinstance(lone, exp.Paren | exp.Alias | exp.Aliases):
        lone = lone.this
    if isinstance(lone, exp.Column | exp.Dot | exp.Identifier | exp.Star | exp.Table):
        raise SqlRefused(
            "in_table",
            "IN takes a list of values or a SELECT in parentheses.",
            hint="Write x IN (SELECT … FROM …), or has(array, x) for an array.",
        )


def _judge_placeholder(node: exp.Placeholder) -> None:
    kind = node.args.get("kind")
    if not isinstance(kind, exp.DataType) or kind.this == exp.DType.USERDEFINED:
        raise SqlRefused("parameter", "A parameter is written {name:Type}, with a type of values.")


def _judge_call(name: str) -> None:
    if not functions.may_call(name):
        raise SqlRefused("function", f"The function {name} is not allowed here.")


def _judge_texts(node: exp.Expr) -> None:
    """Whatever is printed as it stands must be what it pretends to be."""
    if isinstance(node, exp.Literal) and node.is_string:
        return
    if isinstance(node, exp.Literal | exp.HexString):
        if not _NUMBER.fullmatch(node.name):
            raise SqlRefused("unparseable", "The query has a number that is none.")
        return
    allowed = _NAME if isinstance(node, exp.Identifier | exp.JSONPathKey) else _WORDS
    for value in node.args.values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not allowed.fullmatch(text):
                raise SqlRefused("name", "A name of the query has characters no name may have.")


class _Printer(ClickHouseGenerator):
    """Prints every string in the one way that ClickHouse cannot read differently."""

    def literal_sql(self, expression: exp.Literal) -> str:
        text = expression.name
        if not expression.is_string:
            return text
        return "'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return "\\" + character
    return character if character >= " " and character != "\x7f" else f"\\x{ord(character):02x}"


def _print(tree: exp.Expr) -> str:
    dialect = ClickHouse()
    # As it was parsed.
    dialect.INDEX_OFFSET = 0
    printer = _Printer(
        dialect=dialect, identify=True, comments=False, unsupported_level=ErrorLevel.RAISE
    )
    try:
        printed: str = printer.generate(tree, copy=False)
    except UnsupportedError:
        raise SqlRefused("construct", "The query has a part that is not allowed here.") from None
    except RecursionError:
        raise SqlRefused("too_deep", "The query is nested too deeply.") from None
    return printed


def _words(printed: str) -> Iterator[tuple[Token, bool]]:
    """Tokens of what we print, and whether ( follows; without the names of parameters."""
    tokens = ClickHouse().tokenize(printed)
    for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False):
        if before is None or before.token_type != TokenType.L_BRACE:
            yield token, after is not None and after.token_type == TokenType.L_PAREN


def _judge_word(token: Token, opens: bool) -> None:
    """Names are quoted in what we print: a bare word is a call, a type, or part of the grammar."""
    if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER):
        if opens and token.token_type == TokenType.IDENTIFIER:
            raise SqlRefused("function", f"The function {token.text} is not allowed here.")
        return
    if not re.fullmatch(r"[^\W\d]\w*", token.text):
        return
    if opens:
        if token.text.upper() not in _BEFORE_PARENTHESES:
            _judge_call(token.text)
    elif token.token_type in _SPELT_OUT and not (
        token.text.upper() in _WORDS_ALONE or functions.is_type(token.text)
    ):
        raise SqlRefused("word", f"{token.text} is not allowed here.")
