"""Sample records are the same everywhere, and data that tests its readers."""

import json

import pytest

from sandbox.datavault.errors import BadRecord
from sandbox.datavault.records import Record, read_records, sample_record


def test_a_record_of_a_seed_never_changes():
    digest = "e464c75fa60aa743cb2abe2444e22b989a7060fc545610ad6203af3b0b696a66"

    assert sample_record(seed=1, number=7) == Record(
        tenant="o'neill & co",
        key="1-00000007",
        plaintext=f"José Núñez; account 73294301410757288; {digest * 3}".encode(),
        metadata='{"number": 7, "revision": 0, "source": null, "owner": {"name": "José Núñez",'
        ' "account": 73294301410757288, "closed": null}, "tags": ["café", 203, null],'
        ' "score": 0.1640625}',
    )


def test_another_seed_makes_other_records():
    ours = {sample_record(1, number).key for number in range(1000)}
    theirs = {sample_record(2, number).key for number in range(1000)}

    assert len(ours) == len(theirs) == 1000
    assert not ours & theirs


def test_a_revision_changes_the_content_and_keeps_the_name():
    before, after = sample_record(1, 5), sample_record(1, 5, revision=1)

    assert (after.tenant, after.key) == (before.tenant, before.key)
    assert after.plaintext != before.plaintext
    assert after.metadata != before.metadata


def test_metadata_has_what_careless_readers_spoil():
    samples = [json.loads(sample_record(1, number).metadata) for number in range(100)]

    accounts = [sample["owner"]["account"] for sample in samples]
    assert min(accounts) > 2**53
    assert any(int(float(account)) != account for account in accounts)
    assert all(sample["owner"]["closed"] is None for sample in samples)
    assert {sample["source"] for sample in samples} >= {None, "mobile"}
    assert any(not sample["owner"]["name"].isascii() for sample in samples)
    assert any(not sample_record(1, number).tenant.isascii() for number in range(100))


def test_lines_of_json_are_read_exactly():
    line = (
        '{"tenant": "ä", "key": "k", "plaintext": "geheim ✓", "metadata": {"n": 10000000000000001}}'
    )

    assert list(read_records([line])) == [
        Record("ä", "k", "geheim ✓".encode(), '{"n": 10000000000000001}')
    ]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "[]",
        '{"tenant": "a", "key": "b", "plaintext": "c"}',
        '{"tenant": "a", "key": "b", "plaintext": 5, "metadata": {}}',
    ],
    ids=["empty", "not JSON", "not an object", "metadata missing", "plaintext not text"],
)
def test_a_line_that_is_no_record_is_named_by_its_number_and_not_quoted(line: str):
    good = '{"tenant": "a", "key": "b", "plaintext": "c", "metadata": null}'

    with pytest.raises(BadRecord, match=r"^Line 2 is no record\.") as caught:
        list(read_records([good, line]))

    assert "nonsense" not in str(caught.value)
