"""Values of every Postgres type in the text that its input function takes, for hypothesis."""

import ipaddress
import json
import math
from collections.abc import Callable, Sequence
from decimal import Decimal

from hypothesis import strategies as st

Texts = st.SearchStrategy[str]

WORDS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=9)
DIGITS = st.integers(0, 9)
FAR_DATES = st.sampled_from(
    ["infinity", "-infinity", "0044-03-15 BC", "4713-01-01 BC", "10000-01-01", "0001-12-31 BC"]
)
DATES = st.dates().map(str) | FAR_DATES
FAR_TIMES = st.sampled_from(
    [
        *("infinity", "-infinity", "0044-03-15 12:00:00.5 BC", "0001-12-31 23:59:59.999999 BC"),
        *("294276-12-31 23:59:59.999999", "10000-01-01 00:00:00", "4713-01-01 00:00:00 BC"),
    ]
)
TIMES = st.datetimes().map(str)
CLOCK = st.times().map(str) | st.just("24:00:00")
INFINITE = st.sampled_from(["Infinity", "-Infinity"])
NOT_A_NUMBER = st.just("NaN")
OFFSETS = st.integers(-15 * 60 - 59, 15 * 60 + 59).map(
    lambda minutes: f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
)


def scaled(precision: int, scale: int) -> Texts:
    largest = 10**precision - 1
    return st.integers(-largest, largest).map(lambda number: f"{Decimal(number).scaleb(-scale):f}")


def wide(precision: int, scale: int) -> Texts:
    """The same, of more digits than Python's decimal context has."""
    digits = st.integers(0, 10**precision - 1).map(lambda number: f"{number:0{precision + 1}}")
    signs = st.sampled_from(["", "-"])
    return st.builds(
        lambda sign, text: f"{sign}{text[: len(text) - scale]}.{text[len(text) - scale :] or 0}",
        *(signs, digits),
    )


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def array(values: Texts, text: Callable[[str], str] = str) -> Texts:
    """Of one dimension or two, empty, with NULLs, or with a first index of its own."""
    items = st.none() | values
    rows = st.lists(items, min_size=1, max_size=4)
    tables = st.integers(1, 3).flatmap(
        lambda width: st.lists(
            st.lists(items, min_size=width, max_size=width), min_size=1, max_size=3
        )
    )

    def of(inner: Sequence[str | None]) -> str:
        return "{" + ",".join("NULL" if v is None else text(v) for v in inner) + "}"

    return st.one_of(
        st.just("{}"),
        rows.map(of),
        rows.map(lambda inner: f"[0:{len(inner) - 1}]={of(inner)}"),
        tables.map(lambda table: "{" + ",".join(map(of, table)) + "}"),
    )


def between(values: st.SearchStrategy[int], text: Callable[[int], str] = str) -> Texts:
    """A range: its bounds in order, closed, open or missing, or empty."""

    def of(first: int, second: int, brackets: tuple[str, str], missing: tuple[bool, bool]) -> str:
        low, high = sorted((first, second))
        ends = "" if missing[0] else text(low), "" if missing[1] else text(high)
        return f"{brackets[0]}{ends[0]},{ends[1]}{brackets[1]}"

    brackets = st.tuples(st.sampled_from("[("), st.sampled_from("])"))
    missing = st.tuples(st.booleans(), st.booleans())
    return st.just("empty") | st.builds(of, values, values, brackets, missing)


def points(least: int, most: int) -> Texts:
    coordinates = st.floats(-1e100, 1e100)
    pairs = st.tuples(coordinates, coordinates).map(lambda pair: f"({pair[0]},{pair[1]})")
    return st.lists(pairs, min_size=least, max_size=most, unique=True).map(",".join)


def document(numbers: st.SearchStrategy[object]) -> Texts:
    scalars = st.none() | st.booleans() | WORDS | numbers
    made = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    )
    return made.map(json.dumps)


def bits(least: int, most: int) -> Texts:
    return st.text("01", min_size=least, max_size=most)


def hexadecimal(octets: int) -> Texts:
    return st.binary(min_size=octets, max_size=octets).map(lambda value: value.hex(":"))


BIG = st.integers(-(10**60), 10**60)
FLOATS = st.floats().map(lambda value: "NaN" if math.isnan(value) else str(value))
ADDRESSES = st.ip_addresses()
NAMES = st.text(st.characters(codec="ascii", exclude_characters="\x00"), max_size=63)
LEXEMES = st.lists(
    WORDS.filter(bool).map(lambda w: "'" + w.replace("\\", "\\\\").replace("'", "''") + "'")
)

VALUES: dict[str, Texts] = {
    "boolean": st.sampled_from(["true", "false"]),
    "smallint": st.integers(-(2**15), 2**15 - 1).map(str),
    "integer": st.integers(-(2**31), 2**31 - 1).map(str),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "oid": st.integers(0, 2**32 - 1).map(str),
    "numeric(12,2)": scaled(12, 2) | NOT_A_NUMBER,
    "numeric(38,0)": wide(38, 0) | NOT_A_NUMBER,
    "numeric(38,38)": wide(38, 38) | NOT_A_NUMBER,
    "numeric": wide(200, 90) | scaled(9, 3) | NOT_A_NUMBER | INFINITE,
    "numeric(39,0)": wide(39, 0) | NOT_A_NUMBER,
    "numeric(1000,500)": wide(900, 450) | NOT_A_NUMBER,
    "numeric(6,-2)": st.integers(-99_999_900, 99_999_900).map(str) | NOT_A_NUMBER,
    "numeric(3,5)": st.integers(-999, 999).map(lambda n: f"{n}e-5") | NOT_A_NUMBER,
    "real": st.floats(width=32).map(lambda value: "NaN" if math.isnan(value) else str(value)),
    "float8": FLOATS,
    "text": WORDS,
    "varchar(20)": WORDS,
    "char(20)": WORDS,
    "name": NAMES,
    '"char"': st.integers(1, 127).map(chr),
    "bytea": st.binary().map(lambda value: "\\x" + value.hex()),
    "date": DATES,
    "timestamp": TIMES | FAR_TIMES,
    "timestamptz": st.builds("{}{}".format, TIMES, OFFSETS) | FAR_TIMES,
    "time": CLOCK,
    "timetz": st.builds("{}{}".format, CLOCK, OFFSETS),
    "interval": st.builds(
        "{} months {} days {} microseconds".format,
        *(st.integers(-(10**5), 10**5), st.integers(-(10**6), 10**6), st.integers(-(2**53), 2**53)),
    ),
    "money": st.integers(-(2**63), 2**63 - 1).map(lambda n: f"{Decimal(n).scaleb(-2):f}"),
    "uuid": st.uuids().map(str),
    "json": document(BIG | st.floats(allow_nan=False, allow_infinity=False)),
    "jsonb": document(BIG | st.floats(allow_nan=False, allow_infinity=False)),
    "int[]": array(st.integers(-(2**31), 2**31 - 1).map(str)),
    "text[]": array(WORDS, quoted),
    "numeric[]": array(wide(60, 30) | NOT_A_NUMBER | INFINITE),
    "float8[]": array(FLOATS),
    "date[]": array(DATES, quoted),
    "{schema}.mood": st.sampled_from(["sad", "o'k", "ok", ""]),
    "{schema}.price": scaled(8, 2) | NOT_A_NUMBER,
    "{schema}.day": DATES,
    "{schema}.numbers": array(st.integers(0, 9).map(str)),
    "{schema}.feeling": st.sampled_from(["ok", "sad"]),
    "{schema}.pair": st.builds(
        "({},{})".format,
        st.just("") | st.integers(0, 9).map(str),
        st.just("") | WORDS.map(quoted),
    ),
    "int4range": between(st.integers(-(10**6), 10**6)),
    "numrange": between(st.integers(-(10**60), 10**60)),
    "tstzrange": between(st.integers(1, 9999), "{:04}-01-01".format),
    "int4multirange": st.lists(between(st.integers(-99, 99)).filter(lambda r: r != "empty")).map(
        lambda ranges: "{" + ",".join(ranges) + "}"
    ),
    "inet": ADDRESSES.map(str) | ADDRESSES.map(lambda a: f"{a}/{a.max_prefixlen // 2}"),
    "cidr": st.builds(
        lambda a, cut: str(ipaddress.ip_network((a, a.max_prefixlen - cut), strict=False)),
        *(ADDRESSES, st.integers(0, 32)),
    ),
    "macaddr": hexadecimal(6),
    "macaddr8": hexadecimal(8),
    "bit(8)": bits(8, 8),
    "varbit": bits(0, 99),
    "tsvector": LEXEMES.map(" ".join),
    "tsquery": LEXEMES.map(" & ".join),
    "point": points(1, 1),
    "line": st.tuples(st.floats(1, 1e9), st.floats(1, 1e9), st.floats(1, 1e9)).map(
        lambda parts: "{{{},{},{}}}".format(*parts)
    ),
    "lseg": points(2, 2).map("[{}]".format),
    "box": points(2, 2),
    "path": points(1, 5).map("[{}]".format) | points(1, 5).map("({})".format),
    "polygon": points(1, 5).map("({})".format),
    "circle": st.builds("<{},{}>".format, points(1, 1), st.floats(0, 1e100)),
    "regclass": st.sampled_from(["pg_class", "information_schema.tables", "-"]),
    "regtype": st.sampled_from(["integer", "text[]", "information_schema.sql_identifier"]),
    "pg_lsn": st.builds("{:X}/{:X}".format, *2 * [st.integers(0, 2**32 - 1)]),
    "xid": st.integers(0, 2**32 - 1).map(str),
    "xid8": st.integers(0, 2**64 - 1).map(str),
    "tid": st.builds("({},{})".format, st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1)),
    "pg_snapshot": st.integers(1, 2**31).map(lambda n: f"{n}:{n + 9}:{n + 2},{n + 5}"),
    "jsonpath": st.sampled_from(["$", "$.a[*] ? (@ > 1)", 'strict $."x y"']),
    "{schema}.custom": WORDS,
    "{schema}.vector": st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=9).map(json.dumps),
}
