"""What a record is, and where records come from: a seed, or lines of JSON."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from sandbox.datavault.errors import BadRecord

TENANTS = ("acme", "borealis", "müller-söhne", "大阪銀行", "o'neill & co", "zephyr-7")
PEOPLE = ("Zoë Ångström", "José Núñez", "Łucja Wójcik", "山田 花子", "Nguyễn Thị Hà", "Ada King")
SOURCES = ("branch", "mobile", "partner", None)


@dataclass(frozen=True)
class Record:
    """One secret and what may be known about it."""

    tenant: str
    key: str
    plaintext: bytes
    metadata: str  # JSON text; stored readable


def sample_record(seed: int, number: int, revision: int = 0) -> Record:
    """Return record `number` of `seed`, the same one every time and on every machine.

    A higher `revision` changes plaintext and metadata, never tenant or key.
    """
    who = _bytes_from(seed, number)
    what = _bytes_from(seed, number, revision)
    # Above 2**53, where a reader that takes JSON numbers for doubles loses digits.
    account = 2**53 + 1 + int.from_bytes(what[:7])
    person = PEOPLE[who[1] % len(PEOPLE)]
    metadata = {
        "number": number,
        "revision": revision,
        "source": SOURCES[what[7] % len(SOURCES)],
        "owner": {"name": person, "account": account, "closed": None},
        "tags": ["café", what[8], None],
        "score": what[9] / 256,
    }
    secret = what.hex() * (1 + what[10] % 4)
    return Record(
        tenant=TENANTS[who[0] % len(TENANTS)],
        key=f"{seed}-{number:08d}",
        plaintext=f"{person}; account {account}; {secret}".encode(),
        metadata=json.dumps(metadata, ensure_ascii=False),
    )


def read_records(lines: Iterable[str]) -> Iterator[Record]:
    """Read one record a line: {"tenant": …, "key": …, "plaintext": text, "metadata": any JSON}."""
    for number, line in enumerate(lines, start=1):
        try:
            item = json.loads(line)
            yield Record(
                tenant=str(item["tenant"]),
                key=str(item["key"]),
                plaintext=item["plaintext"].encode(),
                metadata=json.dumps(item["metadata"], ensure_ascii=False),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRecord(
                f"Line {number} is no record. It must be a JSON object with tenant, key, "
                "plaintext (text) and metadata."
            ) from error


def _bytes_from(*parts: int) -> bytes:
    return blake2b(repr(parts).encode(), digest_size=32).digest()
