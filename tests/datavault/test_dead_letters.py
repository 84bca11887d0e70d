"""What cannot be stored is put aside with a reason, and holds up nobody."""

import random
import string

import pytest

from sandbox.datavault.backend import Totals, drain
from sandbox.datavault.ingest import ingest
from sandbox.datavault.proto.datavault_pb2 import RecordBatch, SealedRecord
from sandbox.datavault.stream import DEAD_LETTERS, STREAM, pack

from .conftest import Vault

GOOD = {"tenant": "t", "key": "k", "payload": bytes(28), "metadata": "{}"}
# Random, so that the index cannot compress it below its limit.
LONG = "".join(random.Random(1).choices(string.printable, k=10_000))


def letters(vault: Vault) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in vault.redis().xrange(DEAD_LETTERS)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({b"note": b"hello"}, b"The entry has no field named batch."),
        ({b"batch": b"\xff\xff not protobuf"}, b"The field batch is no RecordBatch message."),
        ({b"batch": b'{"records": []}'}, b"The field batch is no RecordBatch message."),
        ({b"batch": b""}, b"The field batch holds no record."),
    ],
    ids=["no batch", "not protobuf", "JSON", "no records"],
)
def test_an_entry_that_cannot_be_read_is_put_aside_as_it_came(vault: Vault, fields, reason):
    ingest(vault.redis_url, vault.key, first=0, count=300, seed=1)
    vault.redis().xadd(STREAM, fields)
    ingest(vault.redis_url, vault.key, first=300, count=300, seed=1)

    assert drain(vault.redis_url, vault.database_url) == Totals(stored=600, refused=1)
    assert vault.count() == 600
    assert letters(vault) == [fields | {b"reason": reason}]
    assert vault.redis().xlen(STREAM) == 0


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"tenant": ""}, "CheckViolation"),
        ({"key": ""}, "CheckViolation"),
        ({"payload": bytes(27)}, "CheckViolation"),
        ({"tenant": "nul\0"}, "CharacterNotInRepertoire"),
        ({"key": LONG}, "ProgramLimitExceeded"),
        ({"metadata": ""}, "InvalidTextRepresentation"),
        ({"metadata": "{'single': 'quotes'}"}, "InvalidTextRepresentation"),
        ({"metadata": '{"n": NaN}'}, "InvalidTextRepresentation"),
        ({"metadata": '"\\u0000"'}, "UntranslatableCharacter"),
        ({"metadata": "1e999999"}, "NumericValueOutOfRange"),
        ({"metadata": "[" * 100_000 + "]" * 100_000}, "StatementTooComplex"),
    ],
    ids=[
        "no tenant",
        "no key",
        "payload too short",
        "NUL in a name",
        "key too long",
        "no metadata",
        "not JSON",
        "NaN",
        "NUL in JSON",
        "number too big",
        "nested too deep",
    ],
)
def test_one_bad_record_is_put_aside_and_its_neighbours_are_stored(vault: Vault, change, refusal):
    bad = SealedRecord(**(GOOD | change))
    neighbours = [SealedRecord(**(GOOD | {"key": f"k{number}"})) for number in range(20)]
    vault.redis().xadd(STREAM, pack(RecordBatch(records=[*neighbours[:13], bad, *neighbours[13:]])))

    assert drain(vault.redis_url, vault.database_url) == Totals(stored=20, refused=1)
    assert {key for (key,) in vault.rows("select key from records")} == {
        neighbour.key for neighbour in neighbours
    }
    reason = f"Postgres refused the record ({refusal}).".encode()
    assert letters(vault) == [pack(RecordBatch(records=[bad])) | {b"reason": reason}]


def test_a_refused_update_leaves_the_record_as_it_was(vault: Vault):
    older = SealedRecord(**GOOD)
    refused = SealedRecord(**(GOOD | {"payload": bytes(40), "metadata": "not JSON"}))
    vault.redis().xadd(STREAM, pack(RecordBatch(records=[older, refused])))

    assert drain(vault.redis_url, vault.database_url) == Totals(stored=1, refused=1)
    assert vault.rows("select payload from records") == [(bytes(28),)]
