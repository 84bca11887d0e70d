"""A statement on its way to Spark: parameters, names of the catalog, and what we obey ourselves."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

SPARK_CATALOG = "spark_catalog"
LONGEST_S = 172_800
"""What STATEMENT_TIMEOUT is unless it is set: two days."""

_OPAQUE = (TokenType.COMMAND, TokenType.SHOW)
_COMMENTS = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_QUERY = re.compile(rf"{_COMMENTS}\(*{_COMMENTS}(SELECT|WITH|VALUES|FROM|TABLE)\b", re.I | re.S)
_TIMEOUT = re.compile(
    r"\s*(?:SET\s+STATEMENT_TIMEOUT\s*=\s*'?(\d+)'?|RESET\s+STATEMENT_TIMEOUT)\s*;?\s*", re.I
)
_USE_CATALOG = re.compile(r"\s*(?:USE|SET)\s+CATALOG\s+([`\w]+)\s*;?\s*", re.I)


def is_query(sql: str) -> bool:
    """Tell whether a text begins as a query does."""
    return _QUERY.match(sql) is not None


def timeout_set_by(sql: str) -> int | None:
    """Return the seconds that a ``SET`` or ``RESET`` of STATEMENT_TIMEOUT asks for."""
    match = _TIMEOUT.fullmatch(sql)
    return int(match[1] or LONGEST_S) if match else None


def in_spark_names(sql: str, catalog: str) -> str:
    """Replace the catalog's name where it qualifies a name, because Spark calls it otherwise.

    In a query only names of three parts are qualified by a catalog: of two, the first may as well
    be the alias of a table.
    """
    if match := _USE_CATALOG.fullmatch(sql):
        wanted = match[1].strip("`")
        return f"SET CATALOG `{SPARK_CATALOG if wanted.lower() == catalog else wanted}`"
    try:
        tokens = Dialect.get_or_raise("databricks").tokenize(sql)
    except SqlglotError:
        # Spark is to say what is wrong with it.
        return sql
    if tokens and tokens[0].token_type in _OPAQUE:
        # The rest of it is one token.
        return re.sub(rf"(?<![\w.`])`?{catalog}`?(?=\s*\.)", SPARK_CATALOG, sql, flags=re.I)
    parts = 3 if is_query(sql) else 2
    for start in reversed(_starts_of_names(tokens, catalog, parts)):
        token = tokens[start]
        sql = sql[: token.start] + SPARK_CATALOG + sql[token.end + 1 :]
    return sql


def _starts_of_names(tokens: Sequence[Token], first: str, parts: int) -> list[int]:
    """Positions of the names that begin with ``first`` and have ``parts`` parts at least."""
    found = []
    for index, token in enumerate(tokens):
        after_dot = index > 0 and tokens[index - 1].token_type == TokenType.DOT
        dots = tokens[index + 1 : index + 2 * parts - 1 : 2]
        qualifies = len(dots) == parts - 1 and all(dot.token_type == TokenType.DOT for dot in dots)
        is_name = token.token_type not in (TokenType.STRING, TokenType.RAW_STRING)
        if token.text.lower() == first and is_name and qualifies and not after_dot:
            found.append(index)
    return found


def in_our_names(message: str, catalog: str) -> str:
    """Put the catalog's name back into what Spark says."""
    return message.replace(SPARK_CATALOG, catalog)


def bound(sql: str, parameters: Sequence[Any]) -> str:
    """Return a statement that makes Spark itself bind the parameters.

    ``parameters`` are the client's: each has a type, a value as text, and may have a name.
    """
    if not parameters:
        return sql
    values = ", ".join(
        _value(one.type, one.value and one.value.stringValue, one.arguments)
        + (f" AS {_quoted_name(one.name)}" if one.name else "")
        for one in parameters
    )
    return f"EXECUTE IMMEDIATE {_literal(sql)} USING {values}"


def described(sql: str, parameters: Sequence[Any]) -> str:
    """Return a statement that tells the names and types of a query's columns."""
    return bound(f"DESCRIBE QUERY {sql}", parameters)


def with_json_for(
    sql: str, columns: Sequence[tuple[str, str]], is_json: Callable[[str], bool]
) -> str:
    """Wrap a query so that columns of some types come as JSON text, under the names c0, c1, …"""
    names = [f"c{index}" for index in range(len(columns))]
    chosen = ", ".join(
        f"to_json({name}) AS {name}" if is_json(kind) else name
        for name, (_, kind) in zip(names, columns, strict=True)
    )
    return f"SELECT {chosen} FROM (\n{sql.rstrip().rstrip(';')}\n) AS t({', '.join(names)})"


def _value(kind: str, text: str | None, arguments: Sequence[Any] | None) -> str:
    if arguments is not None:
        items = ", ".join(_value(one.type, one.value, one.arguments) for one in arguments)
        return f"{kind}({items})"
    if text is None or kind == "VOID":
        return "NULL"
    return _literal(text) if kind == "STRING" else f"CAST({_literal(text)} AS {kind})"


def _literal(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace("'", "\\'")
    # Spark would put a variable in the place of ${name} before it reads the text.
    return "'" + plain.replace("$", "\\u0024") + "'"


def _quoted_name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
