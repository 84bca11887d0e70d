"""What Snowflake cannot hold exactly is found before it is sent there, and nothing else is."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.quarantine import Reason
from connectors.snowflake.sql import JSON_BYTES, MAX_BYTES, ROOM


def reasons(native: str, *documents: str | None) -> list[str | None]:
    """Why each document cannot be held, if it cannot."""
    field = pa.field("doc", pa.string(), metadata={"native": native})
    batch = pa.RecordBatch.from_arrays(
        [pa.array(documents, pa.string())], schema=pa.schema([field])
    )
    found: list[str | None] = [None] * len(documents)
    for unfit in ROOM.unfit(batch):
        assert (unfit.column, unfit.text) == ("doc", documents[unfit.row])
        found[unfit.row] = unfit.reason
    return found


@pytest.mark.parametrize("native", ["json", "jsonb"])
@pytest.mark.parametrize(
    "document",
    [
        "9007199254740993",
        "9" * 38,
        "-" + "9" * 38,
        '{"a": 1.10, "b": [12345678901234567890, -0]}',
        "0." + "1" * 37,
        "1" + "0" * 200,
        "0." + "0" * 100 + "123",
        '{"digits": "' + "9" * 60 + '", "more": ": ' + "9" * 60 + '"}',
        '"\\ud83d\\ude00"',
        "[[[]]]",
        '{"a": {"a": 1}}',
    ],
)
def test_json_that_can_be_held_passes(native: str, document: str) -> None:
    assert reasons(native, None, document) == [None, None]


@pytest.mark.parametrize("native", ["json", "jsonb"])
@pytest.mark.parametrize(
    "number",
    ["9" * 39, "1" + "0" * 37 + "1.5", "0." + "1" * 38, "1" * 20 + "." + "1" * 20, "-" + "8" * 400],
)
@pytest.mark.parametrize("around", ["{}", '{{"a": {}}}', "[1, {}]", '{{"a":{},"b":"x"}}'])
def test_number_of_too_many_digits_is_found(native: str, around: str, number: str) -> None:
    assert reasons(native, around.format(number)) == [Reason.JSON_NUMBER]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("1.2345e+02", None),
        ("1E-300", None),
        ("0e999999", None),
        ("1234567890123456e5", Reason.JSON_NUMBER),
        ("1e308", Reason.JSON_NUMBER),
        ("1e-400", Reason.JSON_NUMBER),
        ("1e" + "9" * 5000, Reason.JSON_NUMBER),
        ('{"a": 1, "b": {"a": 1, "a": 1}}', Reason.JSON_REFUSED),
        ('["\\ud800"]', Reason.JSON_REFUSED),
        ('{"\\udc00": 1}', Reason.JSON_REFUSED),
        ("[" * 100_000 + "]" * 100_000, Reason.JSON_REFUSED),
    ],
)
def test_what_only_json_has_is_found(document: str, reason: Reason | None) -> None:
    assert reasons("json", document) == [reason]


SCALARS = st.none() | st.booleans() | st.integers(-(10**38) + 1, 10**38 - 1) | st.text()
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=9
)


@given(document=DOCUMENTS, is_ascii=st.booleans())
def test_documents_of_numbers_that_fit_pass(document: object, is_ascii: bool) -> None:
    text = json.dumps(document, ensure_ascii=is_ascii)
    assert reasons("json", text) == [None]
    assert reasons("jsonb", text) == [None]


@given(number=st.integers(10**38, 10**60).filter(lambda n: len(str(n).rstrip("0")) > 15))
def test_longer_numbers_are_found_wherever_they_are(number: int) -> None:
    documents = [f"{number}", f"[-{number}]", f'{{"a":{number}}}', f'"{number}"']
    assert reasons("jsonb", *documents) == [Reason.JSON_NUMBER] * 3 + [None]


@pytest.mark.parametrize(
    ("kind", "native", "limit"),
    [
        (pa.string(), None, MAX_BYTES[pa.string()]),
        (pa.binary(), None, MAX_BYTES[pa.binary()]),
        (pa.string(), "jsonb", JSON_BYTES),
    ],
    ids=["text", "bytes", "jsonb"],
)
def test_value_that_is_too_long_is_found(kind: pa.DataType, native: str | None, limit: int) -> None:
    fits = '"' + "x" * (limit - 2) + '"'
    values = [
        text if kind == pa.string() else text.encode() for text in ("", fits, fits[1:] + 'x"')
    ]
    field = pa.field("v", kind, metadata={"native": native} if native else None)
    batch = pa.RecordBatch.from_arrays([pa.array(values, kind)], schema=pa.schema([field]))
    assert [(u.row, u.reason) for u in ROOM.unfit(batch)] == [(2, Reason.TOO_LONG)]
