"""Values that cannot be carried exactly are NULL in their rows and written down; no server."""

import struct
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import DataError, QuarantineFull, WarehouseError
from connectors.postgres.binary import BinaryRows
from connectors.postgres.types import copied
from connectors.quarantine import CUT, MAX_TEXT, Quarantine, Quarantined, Reason, Unfit
from tests.connectors.test_postgres_binary import KINDS, NUMERIC, decoded, messages, number, row

DECIMAL = pa.decimal128(6, 2)
NAN = number([], 0, 0xC000)
ONE = number([1], 0)


def read(quarantine: Quarantine, *columns: tuple[int, pa.DataType], rows: Sequence[Any]) -> Any:
    """The rows, decoded; their columns are ``a``, ``b``, …, and there are three to a piece."""
    made = [copied(oid, pa.field("abcdef"[n], kind)) for n, (oid, kind) in enumerate(columns)]
    batches = decoded(BinaryRows(made, quarantine), messages([row(values) for values in rows]))
    return [tuple(r.values()) for batch in batches for r in batch.to_pylist()]


def key(value: int) -> bytes:
    return struct.pack(">i", value)


INT, PRICE = (23, pa.int32()), (NUMERIC, DECIMAL)
DAY, LOCAL = (1082, pa.date32()), (1114, pa.timestamp("us"))
AT, TEXT, RAW = (1184, pa.timestamp("us", tz="UTC")), (25, pa.string()), (17, pa.binary())


def test_bad_value_is_null_and_its_row_and_neighbours_stay() -> None:
    quarantine = Quarantine(("a",), limit=2)
    rows = [
        (key(1), ONE, b"x"),
        (key(2), None, b"y"),
        (key(3), NAN, b"z"),
        (key(4), number([], 0, 0xF000), None),
        (key(5), ONE, b""),
    ]
    assert read(quarantine, INT, PRICE, TEXT, rows=rows) == [
        (1, Decimal(1), "x"),
        (2, None, "y"),
        (3, None, "z"),
        (4, None, None),
        (5, Decimal(1), ""),
    ]
    assert quarantine.entries == [
        Quarantined({"a": "3"}, "b", Reason.NOT_A_NUMBER, "NaN"),
        Quarantined({"a": "4"}, "b", Reason.INFINITE, "-Infinity"),
    ]


@pytest.mark.parametrize(
    ("column", "value", "reason", "text"),
    [
        (PRICE, number([], 0, 0xD000), Reason.INFINITE, "Infinity"),
        (DAY, struct.pack(">i", 2**31 - 1), Reason.INFINITE, "infinity"),
        (DAY, struct.pack(">i", -730_120), Reason.OUT_OF_RANGE, "0001-12-31 BC"),
        (DAY, struct.pack(">i", 2_921_940), Reason.OUT_OF_RANGE, "10000-01-01"),
        (LOCAL, struct.pack(">q", -(2**63)), Reason.INFINITE, "-infinity"),
        (TEXT, b"caf\xe9", Reason.NOT_TEXT, "caf\\xe9"),
    ],
)
def test_reason_and_text_are_told(column: Any, value: bytes, reason: Reason, text: str) -> None:
    quarantine = Quarantine(("a",), limit=1)
    assert read(quarantine, INT, column, rows=[(key(7), value)]) == [(7, None)]
    assert quarantine.entries == [Quarantined({"a": "7"}, "b", reason, text)]


def test_one_more_than_the_limit_stops_and_is_still_written_down() -> None:
    quarantine = Quarantine(("a",), limit=2)
    with pytest.raises(QuarantineFull) as caught:
        read(quarantine, INT, PRICE, rows=[(key(n), NAN) for n in range(9)])
    assert len(quarantine.entries) == 3
    assert "More than 2 values" in caught.value.detail
    assert caught.value.fields == {"b": "not_a_number, at least 3"}


def test_limit_of_zero_lets_nothing_pass() -> None:
    with pytest.raises(QuarantineFull, match="Values of"):
        read(Quarantine(("a",), limit=0), INT, PRICE, rows=[(key(1), NAN)])


def test_bad_value_in_the_key_stops_whatever_the_limit() -> None:
    quarantine = Quarantine(("b",), limit=9)
    with pytest.raises(DataError, match="column b of the primary key") as caught:
        read(quarantine, INT, PRICE, rows=[(key(1), NAN)])
    assert caught.value.fields == {"b": "not_a_number"}
    assert quarantine.entries == []


def test_key_of_any_type_is_text() -> None:
    quarantine = Quarantine(("b", "a"), limit=1)
    read(quarantine, INT, RAW, PRICE, rows=[(key(1), b"\x00\xff", NAN)])
    assert quarantine.entries[0].key == {"b": "\\x00ff", "a": "1"}


def test_long_text_is_cut() -> None:
    quarantine = Quarantine(("a",), limit=1)
    read(quarantine, INT, TEXT, rows=[(key(1), b"x" * 5000 + b"\xff")])
    text = quarantine.entries[0].text
    assert (len(text), text[-1]) == (MAX_TEXT, CUT)


def test_values_of_a_batch_are_taken_out() -> None:
    quarantine = Quarantine(("id",), limit=3)
    batch = pa.RecordBatch.from_pydict({"id": [1, 2, 3], "doc": ["a", None, "c"], "n": [1, 2, 3]})
    found = [Unfit(2, "doc", Reason.JSON_REFUSED, "c"), Unfit(0, "n", Reason.TOO_LONG, "1")]
    assert quarantine.without(batch, found).to_pydict() == {
        "id": [1, 2, 3],
        "doc": ["a", None, None],
        "n": [None, 2, 3],
    }
    assert [(entry.key, entry.column) for entry in quarantine.entries] == [
        ({"id": "3"}, "doc"),
        ({"id": "1"}, "n"),
    ]


# Every value of a type, in any mixture, and bytes that are none


SPECIAL = {
    1082: st.sampled_from([struct.pack(">i", days) for days in (2**31 - 1, -730_120, 2_921_940)]),
    1114: st.sampled_from([struct.pack(">q", time) for time in (2**63 - 1, -(2**63), -(2**60))]),
    1184: st.sampled_from([struct.pack(">q", time) for time in (2**63 - 1, -(2**63), -(2**60))]),
    25: st.sampled_from([b"\xff", b"x\xed\xa0\x80"]),
    NUMERIC: st.sampled_from([number([], 0, sign) for sign in (0xC000, 0xD000, 0xF000)]),
}
SOME = [kind for kind in KINDS if kind.oid in SPECIAL]


@pytest.mark.parametrize("kind", SOME, ids=lambda kind: f"{kind.oid} {kind.arrow}")
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_good_values_come_out_and_bad_ones_are_counted(kind: Any, data: st.DataObject) -> None:
    good = st.tuples(st.none() | kind.values, st.none())
    bad = st.tuples(st.none(), SPECIAL[kind.oid])
    values = data.draw(st.lists(good | bad, min_size=1, max_size=20))
    rows = [(key(n), special or kind.encoded(value)) for n, (value, special) in enumerate(values)]
    quarantine = Quarantine(("a",), limit=len(rows))
    found = read(quarantine, INT, (kind.oid, kind.arrow), rows=rows)
    assert found == [(n, value) for n, (value, _) in enumerate(values)]
    bad_rows = sorted(int(entry.key["a"]) for entry in quarantine.entries)
    assert bad_rows == [n for n, (_, special) in enumerate(values) if special]


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_damaged_bytes_are_an_error_or_other_rows(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    rows = data.draw(st.lists(st.tuples(*[kind.values for kind in kinds]), min_size=1, max_size=4))
    sent = messages([row([k.encoded(v) for k, v in zip(kinds, r, strict=True)]) for r in rows])
    damaged = [bytearray(message) for message in sent]
    for _ in range(data.draw(st.integers(1, 4))):
        victim = data.draw(st.sampled_from(damaged))
        at = data.draw(st.integers(0, len(victim)))
        victim[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    columns = [copied(k.oid, pa.field(f"c{n}", k.arrow)) for n, k in enumerate(kinds)]
    with suppress(WarehouseError):
        decoder = BinaryRows(columns, Quarantine((), limit=100))
        batches = list(decoded(decoder, [bytes(message) for message in damaged]))
        assert sum(batch.num_rows for batch in batches) == len(rows)
