"""Where literals and comments stand in a text, read as strictly as each warehouse reads it.

The parser decides what the guard sees; the warehouse decides what runs. Where the two would cut
a text up differently, a call can hide in what the parser takes for a string. So every text is
cut up twice, and one that comes out differently is refused; so is whatever warehouses are known
to read in more than one way: a comment within a comment, a lone carriage return, escapes in a
quoted name, a blank that is not ASCII.

Sources: PostgreSQL documentation, 4.1 Lexical Structure; GoogleSQL, Lexical structure and syntax;
Snowflake, String & binary data types and Identifier requirements; Apache Spark, SqlBaseLexer.g4.
"""

import re
from collections.abc import Iterable, Iterator

from sqlglot.tokenizer_core import Token, TokenType

QUOTES = "'\"`$"

_PRINTABLE = r"[^\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]"
_BLOCK = r"/\*(?:(?!/\*|\*/).)*+\*/"


def _reader(
    literal: str, *, word: str = r"\w+", comment: str = "--", sign: str = ""
) -> re.Pattern[str]:
    """One piece of a text: blanks, a comment, a literal or quoted name, a word, or a sign."""
    pieces = (
        r"(?P<space>(?:[ \t\n]|\r\n)+)",
        rf"(?P<comment>(?:{comment}){_PRINTABLE}*(?=\r\n|\n|\Z)|{_BLOCK})",
        rf"(?P<literal>{literal})",
        word,
        rf"[!%&(-/:-@\[\]^{{-~{sign}]",
    )
    return re.compile("|".join(pieces), re.DOTALL)


READERS = {
    "postgres": _reader(
        r"[nNbBxX]?'(?:[^']|'')*+'"
        # An escape string goes on in a plain-looking one: E'a' and, on the next line, '\''.
        rf"|[eE]'(?:[^'\\]|''|\\.)*+'(?!(?:\s|--[^\r\n]*|{_BLOCK})*+')"
        r"|\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$"
        r'|"(?:[^"]|"")*+"',
        word=r"""(?![eE]'|[uU]&['"])[^\W\d][\w$]*|\d\w*|\$\d+""",
        sign="#",
    ),
    "bigquery": _reader(
        r"(?:[rR][bB]?|[bB][rR]?)?"
        r'(?:"""(?:[^"\\]|\\.|"(?!""))*+"""'
        r"|'''(?:[^'\\]|\\.|'(?!''))*+'''"
        r'|"(?:[^"\\\r\n]|\\[^\r\n])*+"(?!")'
        r"|'(?:[^'\\\r\n]|\\[^\r\n])*+'(?!'))"
        r"|`[^`\\\r\n]+`",
        comment="--|#",
    ),
    "snowflake": _reader(
        r"""[xX]?'(?:[^'\\]|''|\\.)*+'|\$\$.*?\$\$|"(?:[^"]|"")*+\"""",
        word=r"[^\W\d][\w$]*|\d\w*|\$\w+",
        comment="--|//",
    ),
    "redshift": _reader(
        # Whether a backslash escapes depends on the server; before a quote it would matter.
        r"""'(?:[^'\\]|''|\\[^'])*+'|"(?:[^"]|"")*+\"""",
        word=r"""(?![bBeEnNxX]'|[uU]&['"])[^\W\d][\w$]*|\d\w*|\$\d+""",
        sign="#",
    ),
    "databricks": _reader(
        r"""[xX]?'(?:[^'\\]|''|\\.)*+'|[rR]'[^']*+'(?!')|[rR]"[^"]*+"(?!")"""
        r"""|"(?:[^"\\]|\\.)*+"(?!")|`(?:[^`]|``)*+`""",
        # A comment goes on in the next line after a backslash.
        comment=r"--(?![^\n]*\\\n)",
        word=r"""(?![rR]['"])\w+""",
    ),
}
OTHER = _reader(
    r"""'(?:[^'\\]|'')*+'|"(?:[^"\\]|"")*+"|`[^`\\]*`""",
    word=r"\w+|\$\d+",
)
"""For any other dialect: only what all of them read alike."""


def read_alike(sql: str, dialect: str, tokens: Iterable[Token]) -> bool:
    """The parser's tokens have their literals and comments where the warehouse has them."""
    theirs: list[tuple[int, int]] = []
    ours: list[tuple[int, int]] = []
    covered = bytearray(len(sql))
    for token in tokens:
        if token.token_type == TokenType.HINT:
            continue
        start, end = token.start, token.end + 1
        covered[start:end] = b"\x01" * (end - start)
        if _is_quoted(token, sql):
            theirs.append((_quote(sql, start), end))
    for kind, start, end in _pieces(sql, READERS.get(dialect, OTHER)):
        if kind == "refused" or (kind == "comment" and any(covered[start:end])):
            return False
        if kind == "literal":
            ours.append((_quote(sql, start), end))
        elif kind in ("comment", "space"):
            covered[start:end] = b"\x01" * (end - start)
    return ours == theirs and all(covered)


def condensed(sql: str, dialect: str) -> str:
    """The same statement without comments, with one blank where there were more.

    What changes its meaning stays: hints, and the line break between two literals, which makes
    one of them in Postgres. A text that cannot be cut up for certain stays as it is.
    """
    parts: list[str] = []
    gap = last = ""
    for kind, start, end in _pieces(sql, READERS.get(dialect, OTHER)):
        text = sql[start:end]
        if kind == "refused":
            return sql
        if kind == "space" or (kind == "comment" and not text.startswith("/*+")):
            gap = "\n" if "\n" in gap + text else " "
            continue
        if parts and gap:
            parts.append(gap if kind == last == "literal" else " ")
        parts.append(text)
        gap, last = "", kind
    return "".join(parts)


def _pieces(sql: str, reader: re.Pattern[str]) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of each piece; ends with one ``refused`` where nothing fits."""
    position = 0
    while position < len(sql):
        match = reader.match(sql, position)
        if match is None:
            yield "refused", position, position
            return
        kinds = [kind for kind in ("space", "comment", "literal") if match[kind] is not None]
        yield (kinds or ["code"])[0], position, match.end()
        position = match.end()


def _is_quoted(token: Token, sql: str) -> bool:
    dollars = token.token_type in (TokenType.HEREDOC_STRING, TokenType.RAW_STRING)
    return dollars or sql[token.end] in "'\"`"


def _quote(sql: str, start: int) -> int:
    """Where the quote of a literal is: behind its prefix, which the parser may cut off."""
    while sql[start] not in QUOTES:
        start += 1
    return start
