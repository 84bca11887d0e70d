"""The decoder of Postgres' binary rows, without a server: what comes in comes out, or an error.

Values are encoded by psycopg, which is another's reading of the same format.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.adapt import Dumper
from psycopg.types import datetime as dates
from psycopg.types import numeric
from psycopg.types.bool import BoolBinaryDumper
from psycopg.types.string import BytesBinaryDumper, StrBinaryDumper
from psycopg.types.uuid import UUIDBinaryDumper

from connectors.errors import DataError, WarehouseError
from connectors.postgres import compiled, fields, text_rows
from connectors.postgres.binary import HEADER, SIGNATURE, TRAILER, BinaryRows, Split
from connectors.postgres.fields import PADDING
from connectors.postgres.types import READERS, copied

NUMERIC = text_rows.NUMERIC_OID
Rows = Sequence[Sequence[Any]]
ROUTES = {"numpy": fields.columns, "compiled": compiled.columns}


@pytest.fixture(autouse=True, scope="module", params=ROUTES)
def route(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test by numpy alone, and with the compiled loops: they are to tell no difference."""
    if request.param == "compiled" and not compiled.usable():
        pytest.skip("There is no C compiler here, or psycopg is in Python.")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoder, "split", staticmethod(ROUTES[request.param]))
        yield


class Decoder:
    """The route that is being tested."""

    split = staticmethod(fields.columns)


@dataclass(frozen=True)
class Kind:
    """A type: its oid, its Arrow type, its values, and psycopg's encoder of them."""

    oid: int
    arrow: pa.DataType
    values: st.SearchStrategy[Any]
    dumper: type[Dumper]
    arrives: Callable[[Any], Any] = lambda value: value

    def encoded(self, value: Any) -> bytes | None:
        return None if value is None else bytes(self.dumper(type(value)).dump(value) or b"")


def decimals(precision: int, scale: int) -> Kind:
    largest = 10**precision - 1
    values = st.integers(-largest, largest).map(lambda number: Decimal(f"{number}E-{scale}"))
    kind = pa.decimal128(precision, scale)
    return Kind(NUMERIC, kind, values, numeric.DecimalBinaryDumper)


def alike(found: Any, expected: Any) -> bool:
    """The same values, NaN like NaN, and a zero with its sign."""
    if isinstance(expected, list | tuple):
        pairs = zip(found, expected, strict=True)
        return len(found) == len(expected) and all(alike(*pair) for pair in pairs)
    if isinstance(expected, float):
        return repr(found) == repr(expected)
    return bool(found == expected)


def jsonb(text: str) -> bytes:
    return b"\x01" + text.encode()


TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
KINDS = [
    Kind(16, pa.bool_(), st.booleans(), BoolBinaryDumper),
    Kind(17, pa.binary(), st.binary(), BytesBinaryDumper),
    Kind(20, pa.int64(), st.integers(-(2**63), 2**63 - 1), numeric.Int8BinaryDumper),
    Kind(21, pa.int16(), st.integers(-(2**15), 2**15 - 1), numeric.Int2BinaryDumper),
    Kind(23, pa.int32(), st.integers(-(2**31), 2**31 - 1), numeric.Int4BinaryDumper),
    Kind(25, pa.string(), TEXT, StrBinaryDumper),
    Kind(26, pa.int64(), st.integers(0, 2**32 - 1), numeric.OidBinaryDumper),
    Kind(700, pa.float32(), st.floats(width=32), numeric.Float4BinaryDumper),
    Kind(701, pa.float64(), st.floats(), numeric.FloatBinaryDumper),
    Kind(1082, pa.date32(), st.dates(), dates.DateBinaryDumper),
    Kind(1114, pa.timestamp("us"), st.datetimes(), dates.DatetimeNoTzBinaryDumper),
    Kind(
        1184, pa.timestamp("us", tz="UTC"), st.datetimes(timezones=st.just(UTC)),
        dates.DatetimeBinaryDumper,
    ),
    Kind(2950, pa.string(), st.uuids(), UUIDBinaryDumper, str),
    *[decimals(*kind) for kind in [(1, 0), (4, 4), (5, 2), (15, 2), (18, 0), (18, 1), (18, 18)]],
    *[decimals(*kind) for kind in [(19, 0), (19, 19), (24, 7), (38, 0), (38, 10), (38, 38)]],
]  # fmt: skip


def schema(kinds: Sequence[Kind]) -> list[pa.Field]:
    return [pa.field(f"c{n}", kind.arrow) for n, kind in enumerate(kinds)]


def decoder(kinds: Sequence[Kind]) -> BinaryRows:
    pairs = zip(kinds, schema(kinds), strict=True)
    described = [copied(kind.oid, field) for kind, field in pairs]
    return BinaryRows(described, split=Decoder.split)


def row(values: Sequence[bytes | None]) -> bytes:
    parts = [struct.pack(">h", len(values))]
    for field in values:
        parts.append(struct.pack(">i", -1) if field is None else struct.pack(">i", len(field)))
        parts.append(field or b"")
    return b"".join(parts)


def messages(rows: Sequence[bytes], extension: bytes = b"") -> list[bytes]:
    """As a server sends them: the header goes with what comes first."""
    first, *others = [*rows, TRAILER]
    return [HEADER.pack(SIGNATURE, 0, len(extension)) + extension + first, *others]


def decoded(rows: BinaryRows, sent: Sequence[bytes], piece: int = 3) -> Iterator[pa.RecordBatch]:
    """The batches of the messages, ``piece`` of them at a time; the end is asked for."""
    for at in range(0, len(sent), piece):
        some = sent[at : at + piece]
        data = np.frombuffer(b"".join([*some, PADDING]), np.uint8)
        batch = rows.decode(data, np.array([len(message) for message in some], np.int64))
        batch.validate(full=True)
        if batch.num_rows:
            yield batch
    rows.end()


def one(oid: int, kind: pa.DataType, *values: bytes | None) -> pa.Array:
    """The values of a single column, as bytes, decoded."""
    column = Kind(oid, kind, st.nothing(), StrBinaryDumper)
    sent = messages([row([value]) for value in values])
    return pa.Table.from_batches(decoded(decoder([column]), sent)).column(0)


# What comes in comes out


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.oid} {kind.arrow}")
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_values_come_out_as_they_went_in(kind: Kind, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | kind.values, min_size=1, max_size=20))
    sent = messages([row([kind.encoded(value)]) for value in values])
    table = pa.Table.from_batches(decoded(decoder([kind]), sent))
    expected = [None if value is None else kind.arrives(value) for value in values]
    assert alike(table.column(0).to_pylist(), expected)
    assert table.schema == pa.schema(schema([kind]))


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_rows_of_many_columns_come_out_as_they_went_in(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12))
    values = st.tuples(*[st.none() | kind.values for kind in kinds])
    rows = data.draw(st.lists(values, min_size=1, max_size=12))
    encoded = [row([k.encoded(v) for k, v in zip(kinds, r, strict=True)]) for r in rows]
    sent = messages(encoded, data.draw(st.binary(max_size=9)))
    batches = decoded(decoder(kinds), sent, data.draw(st.integers(1, 20)))
    found = [tuple(r.values()) for batch in batches for r in batch.to_pylist()]
    expected = [
        tuple(None if v is None else k.arrives(v) for k, v in zip(kinds, r, strict=True))
        for r in rows
    ]
    assert alike(found, expected)


def test_no_rows_are_no_batches() -> None:
    assert list(decoded(decoder(KINDS), messages([]))) == []


def test_header_may_come_alone() -> None:
    sent = messages([row([b"x"])])
    text = Kind(25, pa.string(), st.nothing(), StrBinaryDumper)
    alone = [sent[0][: HEADER.size], sent[0][HEADER.size :], *sent[1:]]
    assert [batch.to_pydict() for batch in decoded(decoder([text]), alone, 1)] == [{"c0": ["x"]}]


def test_jsonb_is_its_text() -> None:
    values = [jsonb('{"a": 1.10}'), None, jsonb("12345678901234567890")]
    assert one(3802, pa.string(), *values).to_pylist() == [
        '{"a": 1.10}',
        None,
        "12345678901234567890",
    ]


def test_every_type_that_arrow_has_is_read() -> None:
    assert set(text_rows.ARROW_TYPES) <= set(READERS)


# What Arrow does not have


def number(digits: Sequence[int], weight: int, sign: int = 0) -> bytes:
    return struct.pack(f">HhHH{len(digits)}H", len(digits), weight, sign, 0, *digits)


DECIMAL = pa.decimal128(6, 2)
DAY, MICROSECOND = struct.Struct(">i"), struct.Struct(">q")


@pytest.mark.parametrize(
    ("oid", "kind", "value"),
    [
        (NUMERIC, DECIMAL, number([], 0, 0xC000)),
        (NUMERIC, DECIMAL, number([], 0, 0xD000)),
        (NUMERIC, pa.decimal128(38, 0), number([], 0, 0xF000)),
        (1082, pa.date32(), DAY.pack(2**31 - 1)),
        (1082, pa.date32(), DAY.pack(-(2**31))),
        (1082, pa.date32(), DAY.pack((date(1, 1, 1) - date(2000, 1, 1)).days - 1)),
        (1082, pa.date32(), DAY.pack((date(9999, 12, 31) - date(2000, 1, 1)).days + 1)),
        (1114, pa.timestamp("us"), MICROSECOND.pack(2**63 - 1)),
        (1184, pa.timestamp("us", tz="UTC"), MICROSECOND.pack(-(2**63))),
        (25, pa.string(), b"caf\xe9"),
        (1043, pa.string(), b"\xed\xa0\x80"),
        (3802, pa.string(), b"\x01\xff"),
    ],
)
def test_value_that_arrow_does_not_have_is_an_error_that_names_its_column(
    oid: int, kind: pa.DataType, value: bytes
) -> None:
    with pytest.raises(DataError, match="column c0 has"):
        one(oid, kind, None, value)


def test_numeric_may_have_zeros_that_say_nothing() -> None:
    values = [number([1, 0], 0), number([0, 1], 1), number([], 0, 0x4000)]
    assert one(NUMERIC, DECIMAL, *values).to_pylist() == [1, 1, 0]


# What is no row


@pytest.mark.parametrize(
    ("oid", "kind", "value"),
    [
        (16, pa.bool_(), b"\x02"),
        (16, pa.bool_(), b""),
        (16, pa.bool_(), b"\x01\x01"),
        (20, pa.int64(), b"\0" * 4),
        (21, pa.int16(), b"\0" * 3),
        (701, pa.float64(), b"\0" * 7),
        (1082, pa.date32(), b"\0" * 8),
        (2950, pa.string(), b"\0" * 15),
        (3802, pa.string(), b""),
        (3802, pa.string(), b"\x02{}"),
        (NUMERIC, DECIMAL, b""),
        (NUMERIC, DECIMAL, b"\0" * 7),
        (NUMERIC, DECIMAL, number([1], 0) + b"\0"),
        (NUMERIC, DECIMAL, number([1], 0)[:-1]),
        (NUMERIC, DECIMAL, number([1], 0, 0x8000)),
        (NUMERIC, DECIMAL, number([10_000], 0)),
        (NUMERIC, DECIMAL, number([65_535], 0)),
        (NUMERIC, DECIMAL, number([1], 1)[:8] + b"\xff\xff"),
        (NUMERIC, DECIMAL, number([1, 1234], 0)),
        (NUMERIC, DECIMAL, number([1], -2)),
        (NUMERIC, DECIMAL, number([1], 32_767)),
        (NUMERIC, DECIMAL, number([1], -32_768)),
        (NUMERIC, pa.decimal128(18, 1), number([9999] * 6, 4)),
        (NUMERIC, pa.decimal128(38, 0), number([9999] * 10, 9)),
        (NUMERIC, pa.decimal128(38, 37), number([9999] * 11, 0)),
    ],
)
def test_value_that_its_type_cannot_be_is_an_error(
    oid: int, kind: pa.DataType, value: bytes
) -> None:
    with pytest.raises(WarehouseError, match="not those it has described"):
        one(oid, kind, None, value)


INT = Kind(23, pa.int32(), st.nothing(), numeric.Int4BinaryDumper)
GOOD = messages([row([b"\0\0\0\x01"]), row([b"\0\0\0\x02"])])
WHOLE = b"".join(GOOD)


@pytest.mark.parametrize(
    "sent",
    [
        [b"PGCOPY"],
        [b"X" + GOOD[0][1:], *GOOD[1:]],
        [SIGNATURE + b"\0\x01\0\0" + GOOD[0][15:], *GOOD[1:]],
        [SIGNATURE + b"\0\0\0\0\xff\xff\xff\xff" + GOOD[0][19:], *GOOD[1:]],
        GOOD[:-1],
        [*GOOD, GOOD[1]],
        [*GOOD, TRAILER],
        [GOOD[0], TRAILER, *GOOD[1:]],
        [GOOD[0], b"", *GOOD[1:]],
        [GOOD[0], b"\0", *GOOD[1:]],
        [GOOD[0], b"\0\x02" + GOOD[1][2:], *GOOD[2:]],
        [GOOD[0], b"\0\0", *GOOD[2:]],
        [GOOD[0], GOOD[1][:-1], *GOOD[2:]],
        [GOOD[0], GOOD[1] + b"\0", *GOOD[2:]],
        [GOOD[0], b"\0\x01\xff\xff\xff\xfe", *GOOD[2:]],
        [GOOD[0], b"\0\x01\x7f\xff\xff\xff" + GOOD[1][6:], *GOOD[2:]],
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 99])
def test_messages_that_are_no_rows_are_an_error(sent: list[bytes], piece: int) -> None:
    with pytest.raises(WarehouseError, match="not those it has described"):
        list(decoded(decoder([INT]), sent, piece))


def test_good_messages_are_none() -> None:
    assert [batch.to_pydict() for batch in decoded(decoder([INT]), GOOD)] == [{"c0": [1, 2]}]


NUMERICS = st.builds(
    number,
    st.lists(st.integers(0, 9999) | st.sampled_from([0, 1, 9999, 10_000, 65_535]), max_size=7),
    st.integers(-6, 6) | st.sampled_from([-32_768, 32_767]),
    st.sampled_from([0, 0, 0, 0x4000, 0x8000, 0xC000]),
)


def outcome(split: Split, oid: int, kind: pa.DataType, values: Sequence[bytes]) -> Any:
    """What becomes of the values of one column: the array, or the error that it is."""
    sent = messages([row([value]) for value in values])
    rows = BinaryRows([copied(oid, pa.field("c0", kind))], split=split)
    try:
        return [batch.column(0) for batch in decoded(rows, sent)]
    except (DataError, WarehouseError) as exc:
        return type(exc)


@settings(deadline=None, max_examples=500)
@given(
    values=st.lists(NUMERICS | st.binary(max_size=12), min_size=1, max_size=3),
    scale=st.integers(0, 18),
)
def test_both_routes_say_the_same_of_any_numeric(values: list[bytes], scale: int) -> None:
    kind = pa.decimal128(18, scale)
    by_numpy, by_loops = (outcome(split, NUMERIC, kind, values) for split in ROUTES.values())
    assert by_numpy == by_loops


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damaged_bytes_are_an_error_or_other_rows_and_never_anything_else(
    data: st.DataObject,
) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    rows = data.draw(st.lists(st.tuples(*[kind.values for kind in kinds]), min_size=1, max_size=4))
    sent = messages([row([k.encoded(v) for k, v in zip(kinds, r, strict=True)]) for r in rows])
    damaged = [bytearray(message) for message in sent]
    for _ in range(data.draw(st.integers(1, 4))):
        victim = data.draw(st.sampled_from(damaged))
        at = data.draw(st.integers(0, len(victim)))
        victim[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with suppress(DataError, WarehouseError):
        batches = list(decoded(decoder(kinds), [bytes(message) for message in damaged]))
        assert sum(batch.num_rows for batch in batches) == len(rows)
