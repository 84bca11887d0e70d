"""From ingest over the stream into Postgres: everything, once, the newest, in order."""

import json
import threading

import psycopg
import pytest

from sandbox.datavault.backend import Totals, drain, wait_until_stored
from sandbox.datavault.cipher import Cipher
from sandbox.datavault.errors import BackendStalled, BadSetting
from sandbox.datavault.ingest import ENTRIES_PER_TRIP, ingest, send, update
from sandbox.datavault.records import Record, sample_record
from sandbox.datavault.stream import STREAM

from .conftest import Vault


def ours(vault: Vault, count: int, first: int = 0, **more: int) -> int:
    return ingest(vault.redis_url, vault.key, first=first, count=count, seed=1, **more)


def drained(vault: Vault) -> Totals:
    return drain(vault.redis_url, vault.database_url)


def test_every_record_arrives_encrypted_and_opens_to_what_was_made(vault: Vault):
    assert ours(vault, 1_100) == 1_100
    assert drained(vault) == Totals(stored=1_100, refused=0)

    rows = vault.rows("select tenant, key, payload, metadata::text from records")
    cipher = Cipher(vault.key)
    opened = {(t, k): (cipher.open(t, k, payload), json.loads(m)) for t, k, payload, m in rows}
    made = [sample_record(1, number) for number in range(1_100)]
    assert opened == {(r.tenant, r.key): (r.plaintext, json.loads(r.metadata)) for r in made}
    assert vault.redis().xlen(STREAM) == 0


def test_the_table_has_the_promised_columns_and_key(vault: Vault):
    drained(vault)

    columns = vault.rows(
        "select column_name, data_type from information_schema.columns"
        " where table_name = 'records' order by ordinal_position"
    )
    assert columns == [
        ("tenant", "text"),
        ("key", "text"),
        ("payload", "bytea"),
        ("metadata", "jsonb"),
        ("created_at", "timestamp with time zone"),
        ("updated_at", "timestamp with time zone"),
    ]
    key = vault.rows(
        "select pg_get_constraintdef(oid) from pg_constraint where contype = 'p'"
        " and conrelid = 'records'::regclass"
    )
    assert key == [("PRIMARY KEY (tenant, key)",)]


def test_the_etl_reads_the_ciphertext_and_can_write_nothing(vault: Vault, endpoints):
    ours(vault, 100)
    drained(vault)
    reader = endpoints["postgres"]["reader"]
    parameters = {name: reader[name] for name in ("host", "port", "user", "password")}

    with psycopg.connect(dbname=reader["database"], **parameters) as connection:
        # The role reads by default; and may not do more when it asks to.
        connection.read_only = False
        assert connection.execute("select count(*) from records").fetchone() == (100,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from records")


def test_an_update_changes_exactly_the_records_asked_for(vault: Vault):
    ours(vault, 2_000)
    drained(vault)
    before = dict(vault.rows("select key, payload from records"))

    assert update(vault.redis_url, vault.key, count=50, of=2_000, seed=1) == 50
    drained(vault)

    after = dict(vault.rows("select key, payload from records"))
    assert after.keys() == before.keys()
    changed = {key for key in after if after[key] != before[key]}
    assert len(changed) == 50
    touched = vault.rows(
        "select key, metadata->>'revision' from records where updated_at > created_at"
    )
    assert set(touched) == {(key, "1") for key in changed}


def test_more_updates_than_records_are_refused(vault: Vault):
    with pytest.raises(BadSetting, match="at most 5"):
        update(vault.redis_url, vault.key, count=6, of=5, seed=1)


def test_of_two_versions_in_one_batch_the_later_wins(vault: Vault):
    ours(vault, 10)
    ours(vault, 10, revision=1)
    drained(vault)

    assert vault.rows("select distinct metadata->>'revision' from records") == [("1",)]


def test_an_entry_delivered_twice_changes_nothing(vault: Vault):
    ours(vault, 500)
    entries = [fields for _, fields in vault.redis().xrange(STREAM)]
    drained(vault)
    before = vault.rows("select * from records order by tenant, key")

    for fields in entries:
        vault.redis().xadd(STREAM, fields)
    drained(vault)

    assert vault.rows("select * from records order by tenant, key") == before


def test_ingest_waits_while_the_backlog_is_full(vault: Vault, until):
    bound = 8
    records = (sample_record(1, number) for number in range(10_000))
    sent: list[int] = []
    producer = threading.Thread(
        target=lambda: send(vault.redis_url, vault.key, records, sent.append, max_backlog=bound)
    )
    producer.start()
    until(lambda: vault.redis().xlen(STREAM) >= bound)
    producer.join(timeout=0.5)

    assert producer.is_alive()
    assert vault.redis().xlen(STREAM) < bound + ENTRIES_PER_TRIP

    while producer.is_alive():
        drained(vault)
    drained(vault)
    assert sent[-1] == vault.count() == 10_000


def test_ingest_gives_up_with_a_sentence_when_nobody_reads(vault: Vault):
    records = [sample_record(1, number) for number in range(3_000)]

    with pytest.raises(BackendStalled, match=r"Is the backend running\?"):
        send(vault.redis_url, vault.key, records, max_backlog=4, patience_s=0.2)


def test_big_records_travel_in_small_entries(vault: Vault):
    records = [Record("t", str(number), bytes(400_000), "{}") for number in range(10)]
    send(vault.redis_url, vault.key, records)

    assert vault.redis().xlen(STREAM) == 4
    drained(vault)
    assert vault.count() == 10


def test_waiting_ends_when_all_is_stored(vault: Vault):
    ours(vault, 3_000)
    backend = vault.start("backend.main")
    wait_until_stored(vault.redis_url, timeout_s=30)

    assert vault.count() == 3_000
    assert backend.poll() is None


def test_waiting_for_a_backend_that_is_not_there_ends_with_a_sentence(vault: Vault):
    ours(vault, 500)
    left: list[int] = []

    with pytest.raises(BackendStalled, match="2 entries are still on the stream"):
        wait_until_stored(vault.redis_url, timeout_s=0.3, report=left.append)

    assert set(left) == {2}


def test_waiting_on_an_empty_stream_ends_at_once(vault: Vault):
    wait_until_stored(vault.redis_url, timeout_s=0)
