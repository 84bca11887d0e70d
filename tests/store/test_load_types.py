"""Arrow into the store and back: exactly, or not at all."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.errors import DataError, LoadMismatch, Unsupported
from connectors.types import LoadMode, LoadTarget, Manifest
from tests.store.files import Files
from tests.store.running import Engine
from warehouse.store import client, names
from warehouse.store.load.loader import StoreLoad
from warehouse.store.load.types import unfit

TEAM = "load-types"
DAY = {"first": date(1900, 1, 1), "last": date(2299, 12, 31)}
MOMENT = {
    "first": datetime(1900, 1, 1, tzinfo=UTC),
    "last": datetime(2299, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
}


def at(*parts: int) -> datetime:
    """A time without a zone."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc,arg-type]


EXACT: list[tuple[pa.DataType, list[Any]]] = [
    (pa.bool_(), [True, False, None]),
    (pa.int8(), [-(2**7), 2**7 - 1, None]),
    (pa.int16(), [-(2**15), 2**15 - 1, None]),
    (pa.int32(), [-(2**31), 2**31 - 1, None]),
    (pa.int64(), [-(2**63), 2**63 - 1, None]),
    (pa.uint64(), [0, 2**64 - 1, None]),
    (pa.float32(), [1.5, float("-inf"), None]),
    (pa.float64(), [0.1, 5e-324, float("inf"), -0.0, None]),
    (pa.decimal128(9, 2), [Decimal("1234567.89"), Decimal("-0.01"), None]),
    (pa.decimal128(38, 38), [Decimal("-0." + "9" * 38), None]),
    (pa.decimal256(76, 38), [Decimal("9" * 38 + "." + "1" * 38), None]),
    (pa.decimal256(76, 0), [Decimal("-" + "9" * 76), None]),
    (pa.string(), ["", "\x00 'é\\ \U0001f600", None]),
    (pa.binary(), [b"", b"\x00\xff\xfe", None]),
    (pa.date32(), [*DAY.values(), date(1970, 1, 1), None]),
    (pa.timestamp("s"), [at(1950, 1, 1), None]),
    (pa.timestamp("ms"), [at(2250, 1, 1, 0, 0, 0, 1000), None]),
    (pa.timestamp("us"), [at(1900, 1, 1), at(1969, 12, 31, 23, 59, 59, 1), None]),
    (pa.timestamp("us", "UTC"), [*MOMENT.values(), None]),
    (pa.time64("us"), [time(0), time(23, 59, 59, 999999), None]),
    (pa.list_(pa.int64()), [[], [1, None, 3]]),
    (pa.list_(pa.float32(), 2), [[1.5, 2.5]]),
    (
        pa.list_(pa.struct([("a b", pa.string()), ("n", pa.decimal128(20, 5))])),
        [[{"a b": "x", "n": Decimal("1.00001")}, {"a b": None, "n": None}], []],
    ),
    (pa.struct([("x", pa.int64()), ("l", pa.list_(pa.string()))]), [{"x": None, "l": ["a", None]}]),
]


@pytest.fixture
def files(store: Engine, tmp_path: Path) -> Iterator[Files]:
    yield Files(tmp_path)
    client.drop_database(TEAM)


def load(files: Files, table: pa.Table, key: tuple[str, ...] = ()) -> StoreLoad:
    store = StoreLoad(TEAM)
    manifest = Manifest("a", "", (files.add(table),), table.schema, key)
    store.load(manifest, LoadTarget("", "t", stage="", fence=1, mode=LoadMode.SWAP), files)
    return store


def read() -> pa.Table:
    place = f"{names.quote(names.database(TEAM))}.t"
    return client.owner().query(f"SELECT * FROM {place} ORDER BY n").read_all()


def test_values_of_every_type_come_back_as_they_were(files: Files) -> None:
    longest = max(len(values) for _, values in EXACT)
    columns = {
        f"c{n} {kind}": pa.array(values + values[:1] * (longest - len(values)), kind)
        for n, (kind, values) in enumerate(EXACT)
    }
    table = pa.table({"n": pa.array(range(longest), pa.int64()), **columns})
    store = load(files, table, ("n",))
    found = read()
    for name in table.column_names:
        # Of its bytes Arrow's text says nothing else.
        assert found[name].cast(table[name].type).equals(table[name]), name
    kept = store.version(LoadTarget("", "t", stage="", fence=0)).schema
    assert kept.equals(table.schema)


def test_not_a_number_is_one_still(files: Files) -> None:
    load(files, pa.table({"n": [1], "f": pa.array([float("nan")])}))
    (found,) = read()["f"].to_pylist()
    assert found != found


@pytest.mark.parametrize(
    "kind",
    [
        pa.duration("us"),
        pa.null(),
        pa.decimal128(5, -2),
        pa.list_(pa.duration("s")),
        pa.month_day_nano_interval(),
    ],
    ids=str,
)
def test_type_without_an_exact_place_is_refused(files: Files, kind: pa.DataType) -> None:
    schema = pa.schema([("n", pa.int64()), ("odd", kind)])
    with pytest.raises(Unsupported):
        StoreLoad(TEAM).plan_load(schema, (), LoadTarget("", "t", stage="", fence=1))


@pytest.mark.parametrize(
    ("kind", "values", "rows"),
    [
        (pa.date32(), [date(1899, 12, 31), date(1900, 1, 1), date(2300, 1, 1), None], [0, 2]),
        (
            pa.timestamp("us"),
            [at(1, 1, 1), at(2299, 12, 31), at(2300, 1, 1)],
            [0, 2],
        ),
        (pa.timestamp("s", "UTC"), [datetime(9999, 12, 31, tzinfo=UTC), None], [0]),
        (pa.list_(pa.int64()), [[1], None, []], [1]),
        (pa.list_(pa.date32()), [[date(2000, 1, 1)], [date(2000, 1, 1), date(2300, 1, 1)]], [1]),
        (pa.struct([("d", pa.date32())]), [{"d": None}, None, {"d": date(1, 1, 1)}], [1, 2]),
        (pa.string(), ["x", None], []),
    ],
    ids=str,
)
def test_value_that_the_store_cannot_hold_is_found(
    kind: pa.DataType, values: list[Any], rows: list[int]
) -> None:
    batch = pa.record_batch({"odd": pa.array(values, kind)})
    assert [one.row for one in unfit(batch)] == rows


def test_null_in_a_key_loads_nothing(files: Files) -> None:
    with pytest.raises(DataError):
        load(files, pa.table({"n": pa.array([1, None], pa.int64())}), ("n",))
    assert not StoreLoad(TEAM).has_loaded(LoadTarget("", "t", stage="", fence=0))


def test_file_that_is_another_one_loads_nothing(files: Files) -> None:
    file = files.add(pa.table({"n": [1]}))
    other = files.add(pa.table({"n": [2]}))
    assert file.sha256 != other.sha256
    manifest = Manifest("a", "", (file,), pa.schema([("n", pa.int64())]), ())
    target = LoadTarget("", "t", stage="", fence=1, mode=LoadMode.SWAP)
    with pytest.raises(LoadMismatch):
        StoreLoad(TEAM).load(manifest, target, files)
    assert not StoreLoad(TEAM).has_loaded(target)
