"""The text of a query: its places, its pieces, and what the parser lets fall without a word.

Seen with hogql-parser 1.3.88: NULLS FIRST and LAST, WITH TOTALS, NATURAL, LATERAL, parentheses
around joins, and ORDER BY after a set operation in parentheses are not in its tree; ``LIMIT a, b``
is a limit of ``a`` there, and of ``b`` in ClickHouse. NULLS is read from the text; the others are
refused.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

EXCERPT_CHARS = 20
PIECE = re.compile(
    r"(?P<blank>\s+|--[^\n]*|//[^\n]*|\#[^\n]*|/\*.*?\*/)"
    r"|(?P<text>'(?:[^'\\]|\\.|'')*')"
    r'|(?P<name>"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)'
    r"|(?P<word>[A-Za-z_$][\w$]*)"
    r"|(?P<number>\.?\d[\w.]*(?:(?<=[eE])[+-]\d+)?)"
    r"|(?P<sign>.)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Place:
    """Where in a text: line and column count characters from 1, the offset from 0."""

    line: int
    column: int
    offset: int
    excerpt: str = ""

    @classmethod
    def of(cls, text: str, offset: int) -> "Place":
        before = text[:offset]
        column = offset - (before.rfind("\n") + 1) + 1
        rest = text[offset : offset + EXCERPT_CHARS].split("\n")[0]
        return cls(before.count("\n") + 1, column, offset, rest)

    def __str__(self) -> str:
        return f"Line {self.line}, column {self.column} (offset {self.offset})."


@dataclass(frozen=True)
class Piece:
    """A word (in upper case), a sign, a number, a literal or a quoted name."""

    kind: str
    text: str
    offset: int


def pieces(text: str) -> tuple[Piece, ...]:
    """The text cut up as the parser's own lexer does, without blanks and comments."""
    return tuple(_pieces(text))


def _pieces(text: str) -> Iterator[Piece]:
    for match in PIECE.finditer(text):
        kind = str(match.lastgroup)
        if kind != "blank":
            found = match[0].upper() if kind == "word" else match[0]
            yield Piece(kind, found, match.start())


def words_between(found: Sequence[Piece], start: int, end: int) -> list[str]:
    """The words and signs that stand between two offsets."""
    return [piece.text for piece in found[_first(found, start) : _first(found, end)]]


def is_in_parentheses(found: Sequence[Piece], start: int, end: int) -> bool:
    """What stands between two offsets does, with nothing else in them."""
    before, after = _first(found, start) - 1, _first(found, end)
    if before < 0 or after == len(found):
        return False
    return (found[before].text, found[after].text) == ("(", ")")


def _first(found: Sequence[Piece], offset: int) -> int:
    """The place of the first that stands there or later."""
    return bisect_left(found, offset, key=lambda piece: piece.offset)


DROPPED = (
    (("WITH", "TOTALS"), "WITH TOTALS"),
    (("NATURAL", "JOIN"), "NATURAL JOIN"),
    (("NATURAL", "INNER"), "NATURAL JOIN"),
    (("NATURAL", "LEFT"), "NATURAL JOIN"),
    (("NATURAL", "RIGHT"), "NATURAL JOIN"),
    (("NATURAL", "FULL"), "NATURAL JOIN"),
    (("LATERAL", "VIEW"), "LATERAL VIEW"),
    (("COLLATE",), "COLLATE"),
)


SET_WORDS = ("UNION", "INTERSECT", "EXCEPT", "ALL", "DISTINCT")


@dataclass
class Opened:
    """An open parenthesis: whether a query stands in it by itself, and whether that is a set."""

    is_query: bool
    is_set: bool = False


def dropped(found: Sequence[Piece]) -> tuple[str, int] | None:
    """The first construct that the parser would let fall, with its offset."""
    texts = [piece.text if piece.kind == "word" else "" for piece in found]
    for start, piece in enumerate(found):
        for words, name in DROPPED:
            end = start + len(words)
            # A CTE may be called totals.
            if tuple(texts[start:end]) == words and texts[end : end + 1] != ["AS"]:
                return name, piece.offset
    return _join_in_parentheses(found) or _after_a_query(found)


def _join_in_parentheses(found: Sequence[Piece]) -> tuple[str, int] | None:
    """``JOIN (u JOIN v …)`` comes out of the parser as another order of joins."""
    for before, opening, after in zip(found, found[1:], found[2:], strict=False):
        opens = opening.text == "(" and after.text not in ("SELECT", "WITH", "(", "{", "VALUES")
        if opens and before.text in ("JOIN", "FROM"):
            return "A join in parentheses", opening.offset
    return None


def _after_a_query(found: Sequence[Piece]) -> tuple[str, int] | None:
    """``(… UNION …) ORDER BY``: the order is not in the parser's tree, nor is all of the rest."""
    before = ""
    opened: list[Opened] = [Opened(is_query=False)]
    for piece, after in pairwise(found):
        if piece.text == "(":
            # After FROM, IN, AS or a sign it is a part of a query whose own order follows.
            opened.append(Opened(is_query=before in ("", "(", *SET_WORDS)))
        elif piece.text == ")" and len(opened) > 1:
            closed = opened.pop()
            if closed.is_query and after.text == "ORDER":
                return "ORDER BY after a query in parentheses", after.offset
            if closed.is_query and not closed.is_set and after.text in ("LIMIT", "OFFSET"):
                return f"{after.text} after a query in parentheses", after.offset
        elif piece.kind == "word" and piece.text in SET_WORDS:
            opened[-1].is_set = True
        before = piece.text
    return None
