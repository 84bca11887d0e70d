"""What GoogleSQL means and bqemulator's translation loses, mended in the syntax tree."""

import re

from sqlglot import exp

from sandbox.bigquery.parameters import check_big_numbers, hexadecimal

_DECIMALS = (exp.DataType.Type.DECIMAL, exp.DataType.Type.BIGDECIMAL)
# Where an integer literal stands for an INT64 value. Elsewhere (LIMIT, ROUND's second argument)
# DuckDB wants its own small integers.
_VALUE_PLACES = (
    exp.Add,
    exp.Alias,
    exp.Array,
    exp.Coalesce,
    exp.If,
    exp.Case,
    exp.Mul,
    exp.PropertyEQ,
    exp.Select,
    exp.Struct,
    exp.Sub,
)
_ESCAPE = re.compile(
    r"\\(?:x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})|(?P<other>.))", re.IGNORECASE | re.S
)
_ESCAPED = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


def mend(tree: exp.Expr) -> bool:
    """Change a statement in place so that its translation keeps its meaning; tell if it changed."""
    check_big_numbers(tree)
    # The order matters: a literal that gets wrapped must not have taken a name before.
    return any(
        [_widen_integers(tree), _spell_bytes(tree), _name_columns(tree), _has_decimals(tree)]
    )


def _widen_integers(tree: exp.Expr) -> bool:
    """Make literals INT64: `2000000000 + 2000000000` overflows DuckDB's own INTEGER."""
    changed = False
    for literal in list(tree.find_all(exp.Literal)):
        number = literal.parent if isinstance(literal.parent, exp.Neg) else literal
        if not literal.is_int or not isinstance(number.parent, _VALUE_PLACES):
            continue
        if isinstance(number.parent, exp.Select) and number.arg_key != "expressions":
            continue
        number.replace(exp.cast(number.copy(), "INT64", dialect="bigquery"))
        changed = True
    return changed


def _spell_bytes(tree: exp.Expr) -> bool:
    found = list(tree.find_all(exp.ByteString))
    for node in found:
        node.replace(hexadecimal(_decoded(node.name)))
    return bool(found)


def _decoded(text: str) -> bytes:
    result = bytearray()
    done = 0
    for match in _ESCAPE.finditer(text):
        result += text[done : match.start()].encode()
        result += _unescaped(match)
        done = match.end()
    return bytes(result + text[done:].encode())


def _unescaped(match: re.Match[str]) -> bytes:
    if match["hex"]:
        return bytes.fromhex(match["hex"])
    if match["octal"]:
        return bytes([int(match["octal"], 8)])
    other: str = match["other"]
    return bytes([_ESCAPED[other]]) if other in _ESCAPED else other.encode()


def _name_columns(tree: exp.Expr) -> bool:
    """Name what has no name f0_, f1_, ... as BigQuery does."""
    first: exp.Expr | None = tree
    while isinstance(first, (exp.SetOperation, exp.Subquery)):
        first = first.this
    if not isinstance(first, exp.Select) or first.args.get("kind"):
        return False
    nameless = [
        one
        for one in first.expressions
        if not isinstance(one, (exp.Alias, exp.Aliases, exp.Column, exp.Dot, exp.Star))
    ]
    for number, node in enumerate(nameless):
        node.replace(exp.alias_(node.copy(), f"f{number}_"))
    return bool(nameless)


def _has_decimals(tree: exp.Expr) -> bool:
    """Tell whether NUMERIC literals occur: printing the tree makes them casts, which are exact."""
    return any(cast.to.this in _DECIMALS for cast in tree.find_all(exp.Cast))
