"""Functions and operators that mean something else in Snowflake than in duckdb."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import unsupported

# Arguments that duckdb wants as integers while NUMBER columns hold 38 digits.
_INTEGER_ARGUMENTS: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.Left: ("expression",),
    exp.Pad: ("expression",),
    exp.Repeat: ("times",),
    exp.Right: ("expression",),
    exp.SplitPart: ("part_index",),
    exp.Substring: ("start", "length"),
}
_TEXT = {exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT}
_SEMI_STRUCTURED = {
    exp.DataType.Type.VARIANT,
    exp.DataType.Type.OBJECT,
    exp.DataType.Type.ARRAY,
}
# Table functions that fakesnow or sqlglot carry over; any other of duckdb's would leak through.
_TABLE_FUNCTIONS = (exp.Explode, exp.Generator, exp.Unnest)


def rewrite(context: Context, statement: exp.Expr) -> exp.Expr:
    """Return the statement with Snowflake's meaning spelled out for duckdb."""
    # Deepest first: sqlglot's own transform does not look into what it has replaced.
    for node in reversed(list(statement.walk())):
        replacement = _rewrite_node(context, node)
        if replacement is not node:
            node.replace(replacement)
    return statement


def _rewrite_node(context: Context, node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Table | exp.TableFromRows):
        return _only_known_table_functions(node)
    if isinstance(node, exp.Div | exp.Mod):
        return _division(node)
    if isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast):
        return _cast(node)
    if isinstance(node, exp.ParseJSON):
        name = "_sf_try_parse_json" if node.args.get("safe") else "_sf_parse_json"
        return exp.Anonymous(this=name, expressions=[node.this])
    if isinstance(node, exp.MD5NumberLower64):
        return exp.Anonymous(this="_sf_md5_lower64", expressions=[node.this])
    if isinstance(node, exp.Typeof):
        return exp.Anonymous(this="_sf_typeof", expressions=[node.this])
    if isinstance(node, exp.ToChar) and not node.args.get("format"):
        return exp.Anonymous(this="_sf_text", expressions=[node.this])
    if isinstance(node, exp.ToBinary) and not node.args.get("format"):
        return _hexadecimal(node)
    if wanted := _INTEGER_ARGUMENTS.get(type(node)):
        return _integers(node, wanted)
    answer = _session_value(context, node)
    return _constant(answer()) if answer is not None else node


def _division(node: exp.Div | exp.Mod) -> exp.Expr:
    divisor = node.expression
    if isinstance(divisor, exp.Literal) and not divisor.is_string and float(divisor.this):
        return node
    name = "_sf_div" if isinstance(node, exp.Div) else "_sf_mod"
    return exp.Anonymous(this=name, expressions=[node.this, divisor])


def _cast(node: exp.Cast) -> exp.Expr:
    if node.to.this in _SEMI_STRUCTURED:
        # A text becomes a variant that holds a text; only PARSE_JSON looks into it.
        return exp.Anonymous(this="TO_JSON", expressions=[node.this])
    if node.to.this in _TEXT and isinstance(node.this, exp.Column) and node.this.name != "VALUE":
        return exp.Anonymous(this="_sf_text", expressions=[node.this])
    return node


def _hexadecimal(node: exp.ToBinary) -> exp.Expr:
    if node.args.get("safe"):
        raise unsupported("TRY_TO_BINARY")
    return exp.Unhex(this=node.this)


def _integers(node: exp.Expr, arguments: tuple[str, ...]) -> exp.Expr:
    for name in arguments:
        value = node.args.get(name)
        if isinstance(value, exp.Expr) and not isinstance(value, exp.Literal | exp.Neg):
            node.set(name, exp.Anonymous(this="_sf_int", expressions=[value]))
    return node


def _only_known_table_functions(node: exp.Table | exp.TableFromRows) -> exp.Expr:
    inner = node.this
    if isinstance(node, exp.Table) and isinstance(inner, exp.Identifier | exp.Var | exp.Literal):
        if isinstance(inner, exp.Identifier):
            return node
        raise unsupported("reading files in a query")
    if isinstance(inner, _TABLE_FUNCTIONS):
        return node
    name = inner.name if isinstance(inner, exp.Anonymous) else inner.key
    if name.upper() in {"IDENTIFIER", "_FS_FLATTEN"}:
        return node
    raise unsupported(f"table function {name.upper()}")


def _session_value(context: Context, node: exp.Expr) -> Callable[[], Any] | None:
    session = context.session
    if isinstance(node, exp.Anonymous):
        return {
            "LAST_QUERY_ID": lambda: session.last_query_id,
            "CURRENT_STATEMENT": lambda: context.job.text,
            "CURRENT_TRANSACTION": lambda: None,
            "CURRENT_IP_ADDRESS": lambda: "127.0.0.1",
        }.get(node.name.upper())
    answers: dict[type[exp.Expr], Callable[[], Any]] = {
        exp.CurrentAccount: lambda: context.account.config.account,
        exp.CurrentAccountName: lambda: context.account.config.account,
        exp.CurrentDatabase: lambda: session.database,
        exp.CurrentRegion: lambda: "SANDBOX",
        exp.CurrentRole: lambda: session.role,
        exp.CurrentSchema: lambda: session.schema,
        exp.CurrentSecondaryRoles: lambda: _secondary_roles(session.user.secondary_roles),
        exp.CurrentSession: lambda: str(session.number),
        exp.CurrentUser: lambda: session.user.name.upper(),
        exp.CurrentWarehouse: lambda: session.warehouse,
    }
    return answers.get(type(node))


def _secondary_roles(names: Sequence[str]) -> str:
    return json.dumps({"roles": ",".join(names), "value": "ALL" if names else ""})


def _constant(value: str | None) -> exp.Expr:
    return exp.Null() if value is None else exp.Literal.string(value)
