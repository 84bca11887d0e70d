"""The first layer of read-only: one statement, a query, nothing in it that writes or reaches out.

The parser's tree is judged, not the text, so a string that says DROP TABLE is a string. What
cannot be parsed is refused, and so is what the warehouse would read differently (see sql_text).
The second layer is the warehouse itself: a read-only session, one statement a call, and a role
that cannot write.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from functools import cache
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.errors import SqlglotError
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import Token, TokenType

from connectors.databricks import guard as databricks_guard
from connectors.errors import SqlRefused
from connectors.sql_text import read_alike
from connectors.types import Capabilities

MAX_SQL_CHARS = 100_000
# A query as people and programs write it takes the parser one or two steps a token. Where it
# tries, goes back and tries again, a hundred characters can keep it busy for hours.
MAX_STEPS = 20_000
MAX_STEPS_PER_TOKEN = 4

# There, f.pg_read_file is a call where f is no table but a value, as in FROM unnest(…) AS f.
ATTRIBUTES_CALL = frozenset({"postgres", "redshift"})
MAX_LINKS = 200
"""Dots between two commas."""
MAX_PARTS = 4
"""Of a name, for telling which function it is: catalog, schema, package, function."""
NAMES = frozenset({TokenType.VAR, TokenType.IDENTIFIER})

# The parser logs statements it cannot place, with their text; queries do not belong in logs.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

WRITES = (
    exp.DML, exp.DDL, exp.Alter, exp.Analyze, exp.Attach, exp.Block, exp.Cache, exp.Command,
    exp.Comment, exp.Commit, exp.Copy, exp.Declare, exp.Describe, exp.Detach, exp.Drop,
    exp.Execute, exp.Export, exp.Get, exp.Grant, exp.IfBlock, exp.Kill, exp.LoadData, exp.Pragma,
    exp.Put, exp.Refresh, exp.Revoke, exp.Rollback, exp.Set, exp.Show, exp.Transaction,
    exp.TruncateTable, exp.Uncache, exp.Use, exp.WhileBlock,
)  # fmt: skip


def check(sql: str, facts: Capabilities) -> None:
    """Return quietly when ``sql`` is one read-only query in a provider's dialect.

    Its refused functions are held against names that may be calls, its refused tables against
    every name in the text, wherever it stands. Raises SqlRefused. Reasons: ``empty``,
    ``too_long``, ``too_deep``, ``unparseable``, ``ambiguous``, ``multiple_statements``,
    ``not_a_query``, ``writes``, ``select_into``, ``locks_rows``, ``reads_stage``, ``function``,
    ``table``.
    """
    dialect = facts.dialect
    tree, tokens = parse(sql, dialect)
    if not isinstance(tree, exp.Query):
        raise SqlRefused("not_a_query", "Only a query may be run here.")
    for node in tree.walk():
        _judge(node)
    _judge_tokens(sql, dialect, tokens, facts.refused_functions)
    _judge_tables(tokens, facts.refused_tables)
    if dialect == databricks_guard.DIALECT:
        databricks_guard.check(sql, tree, tokens)
    if not read_alike(sql, dialect, tokens):
        raise SqlRefused(
            "ambiguous",
            "A literal or comment of the query can be read in two ways.",
            hint="Use plain quotes, plain blanks, and no comment within a comment.",
        )


def parse(sql: str, dialect: str) -> tuple[exp.Expr, list[Token]]:
    """The one statement of a text, and its tokens, in bounded time.

    Raises SqlRefused: ``empty``, ``too_long``, ``too_deep``, ``unparseable``,
    ``multiple_statements``.
    """
    _judge_text(sql)
    reader = Dialect.get_or_raise(dialect)
    # Only of use to print the tree; what it costs grows with the square of a[1][1][1]….
    reader.INDEX_OFFSET = 0
    tokens = _tokenize(sql, reader)
    _judge_chains(tokens)
    return _parse_one(sql, reader, tokens), tokens


def _judge_text(sql: str) -> None:
    if len(sql) > MAX_SQL_CHARS:
        raise SqlRefused(
            "too_long",
            f"The query has more than {MAX_SQL_CHARS:,} characters.",
            hint="Put long lists of values in a table and join it.",
        )
    if "\x00" in sql or not _is_utf8(sql):
        raise SqlRefused("unparseable", "The query holds a character that is no text.")


def _is_utf8(sql: str) -> bool:
    try:
        sql.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tokenize(sql: str, reader: Dialect) -> list[Token]:
    try:
        tokens = reader.tokenize(sql)
    except SqlglotError:
        raise SqlRefused("unparseable", "The query cannot be parsed.") from None
    if isinstance(reader, Snowflake):
        return [part for token in tokens for part in _cast_apart(token)]
    return tokens


def _cast_apart(token: Token) -> Iterator[Token]:
    """``?::`` as a placeholder and a cast: it is one operator in Databricks only."""
    if token.token_type != TokenType.QDCOLON:
        yield token
        return
    line, column, start = token.line, token.col, token.start
    yield Token(TokenType.PLACEHOLDER, "?", line, column, start, start)
    yield Token(TokenType.DCOLON, "::", line, column, start + 1, start + 2, token.comments)


def _judge_chains(tokens: Iterable[Token]) -> None:
    """Refuse a.b().c()… without end: each link costs the parser another walk over the whole."""
    links = [0]
    for token in tokens:
        match token.token_type:
            case TokenType.DOT:
                links[-1] += 1
            case TokenType.L_PAREN | TokenType.L_BRACKET:
                links.append(0)
            case TokenType.R_PAREN | TokenType.R_BRACKET:
                if len(links) > 1:
                    links.pop()
            case TokenType.COMMA:
                links[-1] = 0
        if links[-1] > MAX_LINKS:
            raise SqlRefused("too_deep", "The query is nested too deeply.")


def _parse_one(sql: str, reader: Dialect, tokens: list[Token]) -> exp.Expr:
    parser = _bounded(reader.parser_class)(dialect=reader)
    parser.steps_left = MAX_STEPS + MAX_STEPS_PER_TOKEN * len(tokens)
    try:
        parsed = parser.parse(tokens, sql)
    except (RecursionError, _TooManySteps):
        raise SqlRefused("too_deep", "The query is nested too deeply.") from None
    except (SqlglotError, AttributeError, LookupError, TypeError, ValueError):
        # Nonsense that its grammar has a place for can trip the parser up.
        raise SqlRefused("unparseable", "The query cannot be parsed.") from None
    statements = [s for s in parsed if s is not None and not isinstance(s, exp.Semicolon)]
    if not statements:
        raise SqlRefused("empty", "There is no query.")
    if len(statements) > 1:
        raise SqlRefused("multiple_statements", "Only one statement may be sent at a time.")
    found: exp.Expr = statements[0]
    return found


class _TooManySteps(Exception):
    """The parser goes back and forth instead of coming to an end."""


class _CountsSteps:
    """Mixed into a dialect's parser."""

    steps_left: int

    def _advance(self, times: int = 1) -> None:
        self.steps_left -= 1
        if self.steps_left < 0:
            raise _TooManySteps
        super()._advance(times)  # type: ignore[misc]


@cache
def _bounded(parser: type[Parser]) -> Any:
    return type(f"Bounded{parser.__name__}", (_CountsSteps, parser), {})


def _judge(node: exp.Expr) -> None:
    match node:
        case exp.Into():
            raise SqlRefused("select_into", "SELECT … INTO creates a table.")
        case exp.Lock():
            raise SqlRefused("locks_rows", "FOR UPDATE and FOR SHARE lock rows.")
        case _ if isinstance(node, WRITES):
            raise SqlRefused("writes", f"{node.key.upper()} is not part of a read-only query.")
        case exp.TableFromRows(this=exp.Placeholder() | exp.Parameter()):
            raise SqlRefused("reads_stage", "A value may name files; write the table's name.")
        case exp.Table() | exp.TableFromRows() if re.match(r"@|\w+://", node.name):
            raise SqlRefused("reads_stage", "Files of a stage cannot be read here.")


def _judge_tokens(sql: str, dialect: str, tokens: Sequence[Token], refused: frozenset[str]) -> None:
    if dialect == "snowflake":
        if any(token.token_type == TokenType.PARAMETER and token.text == "@" for token in tokens):
            raise SqlRefused("reads_stage", "Files of a stage cannot be read here.")
        # The parser takes it for an operator on JSON: SELECT a ->> DELETE FROM t is one to it.
        if any(sql.startswith("->>", token.start) for token in tokens):
            raise SqlRefused("multiple_statements", "->> starts another statement.")
    patterns = _patterns(refused)
    for parts, opens in _names(tokens):
        called = [".".join(parts[start:]) for start in range(len(parts))] if opens else []
        if dialect in ATTRIBUTES_CALL:
            called.append(parts[-1])
        if parts[-1] in refused or any(map(patterns.fullmatch, called)):
            raise SqlRefused("function", f"The function {parts[-1]} is not allowed here.")


def _judge_tables(tokens: Sequence[Token], refused: frozenset[str]) -> None:
    patterns = _patterns(refused)
    for token in tokens:
        if token.token_type in NAMES and patterns.fullmatch(_folded(token)):
            raise SqlRefused("table", f"The table {token.text} is not allowed here.")


def _names(tokens: Sequence[Token]) -> Iterator[tuple[list[str], bool]]:
    """Names that may be calls, as the last of their parts in lower case; whether ( follows.

    One before a parenthesis is a call. One after a dot may be, because Snowflake calls a sequence
    without (``some_sequence.NEXTVAL``), and Postgres an attribute. From the tokens, because the
    tree renames functions it knows.
    """
    parts: list[str] = []
    dot = False
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type == TokenType.DOT:
            dot = True
            continue
        parts = [*parts[1 - MAX_PARTS :], _folded(token)] if dot else [_folded(token)]
        opens = following is not None and following.token_type == TokenType.L_PAREN
        if opens or dot:
            yield parts, opens
        dot = False


def _folded(token: Token) -> str:
    # Warehouses fold by upper case, which makes an S of the long s.
    return token.text.upper().lower()


@cache
def _patterns(refused: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, sorted(refused))) or r"(?!)")
