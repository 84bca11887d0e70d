"""One statement out of a text, and what kind it is."""

import logging
import re
from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from sandbox.snowflake.errors import SqlError, statement_count, syntax
from sandbox.snowflake.names import fold

# sqlglot reports what it does not know together with the statement's text.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

QUERY = (exp.Select, exp.SetOperation, exp.Subquery)

_DIALECT = Dialect.get_or_raise("snowflake")
_LEADING_COMMENTS = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|//[^\n]*(?:\n|$)|/\*.*?\*/)*", re.S)


def without_leading_comments(text: str) -> str:
    """Return a text from its first word on."""
    found = _LEADING_COMMENTS.match(text)
    return text[found.end() :] if found else text


def parse_one(text: str) -> exp.Expr:
    """Return the one statement in a text; raises SqlError for none, several or nonsense."""
    try:
        tokens = [part for token in _DIALECT.tokenize(text) for part in _cast_apart(token)]
        parsed = _DIALECT.parser().parse(tokens, text)
    except (SqlglotError, ValueError, RecursionError) as error:
        raise _syntax(text, error) from error
    statements = [one for one in parsed if one is not None and not isinstance(one, exp.Semicolon)]
    if not statements:
        raise SqlError("000900", "42601", "SQL compilation error:\nEmpty SQL statement.")
    if len(statements) > 1:
        raise statement_count(len(statements))
    return statements[0]


def _cast_apart(token: Token) -> Iterator[Token]:
    # sqlglot reads Databricks' operator ?:: everywhere; here it is a placeholder that is cast.
    if token.token_type != TokenType.QDCOLON:
        yield token
        return
    line, column, start = token.line, token.col, token.start
    yield Token(TokenType.PLACEHOLDER, "?", line, column, start, start)
    yield Token(TokenType.DCOLON, "::", line, column, start + 1, start + 2, token.comments)


def _syntax(text: str, error: Exception) -> SqlError:
    return syntax(text, error if isinstance(error, sqlglot.ParseError) else None)


def tables_of(statement: exp.Expr) -> Iterator[exp.Table]:
    """Yield the real tables a statement names, its own WITH queries left out."""
    own = {fold(cte.args["alias"].this) for cte in statement.find_all(exp.CTE)}
    for table in statement.find_all(exp.Table):
        named = isinstance(table.this, exp.Identifier)
        if named and (table.args.get("db") or fold(table.this) not in own):
            yield table


def target_of(statement: exp.Expr) -> exp.Table | None:
    """Return the table a DML or DDL statement is about."""
    target = statement.this
    if isinstance(target, exp.Schema):
        target = target.this
    return target if isinstance(target, exp.Table) else None


def written_name(table: exp.Table) -> str:
    """Return a table's name as the user wrote it, folded."""
    parts = (table.args.get("catalog"), table.args.get("db"), table.this)
    return ".".join(fold(part) or "" for part in parts if part)
