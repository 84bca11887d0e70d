"""The guard in front of every query, held against a corpus, a real server, and the clock."""

import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import registry, sql_guard
from connectors.errors import SqlRefused
from connectors.providers.postgres import Postgres
from connectors.sql_text import READERS
from connectors.types import Capabilities

CORPUS = [
    json.loads(line)
    for line in (Path(__file__).parent / "sql_corpus.jsonl").read_text().splitlines()
]
DIALECTS = ("postgres", "snowflake", "bigquery", "databricks")
# Of work, not of waiting for a busy machine.
BOUND_S = 2.0


def refusal(sql: str, dialect: str, refused: frozenset[str] | None = None) -> str | None:
    """The reason of a refusal; None for a query that may run."""
    facts = registry.provider(dialect).capabilities
    if refused is not None:
        facts = replace(facts, refused_functions=refused, refused_tables=frozenset())
    return refusal_by(facts, sql)


def refusal_by(facts: Capabilities, sql: str) -> str | None:
    try:
        sql_guard.check(sql, facts)
    except SqlRefused as exc:
        return exc.reason
    return None


@pytest.mark.parametrize("case", CORPUS, ids=[f"{c['dialect']}-{n}" for n, c in enumerate(CORPUS)])
def test_corpus(case: dict[str, Any]) -> None:
    wanted = None if case["allow"] else case["reason"]
    assert refusal(case["sql"], case["dialect"]) == wanted


def test_corpus_is_large_and_says_nothing_twice() -> None:
    texts = {(case["dialect"], case["sql"]) for case in CORPUS}
    assert len(texts) == len(CORPUS) >= 150
    assert {case["allow"] for case in CORPUS} == {True, False}
    assert all(case["reason"] for case in CORPUS)


def test_every_reason_is_documented_and_in_the_corpus() -> None:
    reasons = {case["reason"] for case in CORPUS if not case["allow"]}
    reasons |= {"too_long", "too_deep"}
    documented = (sql_guard.check.__doc__ or "").split("Reasons:")[1]
    assert reasons == {word.strip("`.,\n ") for word in documented.split(",")}


def test_refusal_names_the_field_and_the_way_out() -> None:
    with pytest.raises(SqlRefused) as caught:
        sql_guard.check("DROP TABLE t", Postgres.capabilities)
    assert caught.value.code == "sql_refused"
    assert caught.value.fields == {"sql": "not_a_query"}
    assert caught.value.advice


def test_text_of_a_query_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for dialect in DIALECTS:
        for sql in ("GRANT canary TO canary", "SELECT canary FROM", "CALL canary('x')"):
            assert refusal(sql, dialect)
    assert "canary" not in caplog.text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_megabytes_are_refused_at_once(dialect: str) -> None:
    started = time.thread_time()
    assert refusal("SELECT '" + "x" * 10_000_000 + "'", dialect) == "too_long"
    assert refusal("SELECT " + "(" * 10_000_000, dialect) == "too_long"
    assert time.thread_time() - started < BOUND_S


@pytest.mark.parametrize("dialect", DIALECTS)
def test_long_list_of_values_is_no_trouble(dialect: str) -> None:
    started = time.thread_time()
    values = ", ".join(map(str, range(12_000)))
    assert refusal(f"SELECT * FROM t WHERE id IN ({values})", dialect) is None
    assert time.thread_time() - started < BOUND_S


DEEP = {
    "parentheses": ("SELECT ", "(", "1", ")"),
    "open parentheses": ("SELECT ", "(", "", ""),
    "calls": ("SELECT ", "f(", "1", ")"),
    "subqueries": ("SELECT * FROM ", "(SELECT * FROM ", "t", ") AS x"),
    "cases": ("SELECT ", "CASE WHEN ", "1", " THEN 1 END"),
    "casts": ("SELECT ", "CAST(", "1", " AS INT)"),
    "arrays": ("SELECT ", "[", "1", "]"),
    "indexes": ("SELECT a", "[1]", "", ""),
    "nots": ("SELECT ", "NOT ", "a", ""),
    "sums": ("SELECT ", "1 + ", "1", ""),
    "ors": ("SELECT 1 FROM t WHERE ", "a = 1 OR ", "a = 1", ""),
    "unions": ("", "SELECT 1 UNION ALL ", "SELECT 1", ""),
    "withs": ("", "WITH a AS (", "SELECT 1", ") SELECT 1"),
    # The parser tries these in two ways at every level.
    "dates": ("SELECT ", "DATE(", "1", ")"),
    "objects": ("SELECT ", "OBJECT(", "1", ")"),
    "joins without a condition": ("SELECT * FROM t ", "JOIN t ", "", ""),
    "comments": ("SELECT 1 ", "/* x */ ", "", ""),
    "dollars": ("SELECT ", "$a ", "", ""),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("shape", DEEP)
@pytest.mark.parametrize("depth", [40, 2_500])
def test_deep_nesting_ends_soon_and_well(dialect: str, shape: str, depth: int) -> None:
    head, opening, core, closing = DEEP[shape]
    sql = (head + opening * depth + core + closing * depth)[: sql_guard.MAX_SQL_CHARS]
    started = time.thread_time()
    refusal(sql, dialect)
    assert time.thread_time() - started < BOUND_S


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 'plain' AS \"a\" -- x", None),
        ("SELECT 'a\\'", "ambiguous"),
        ("SELECT 1 /* /* */ */", "ambiguous"),
        ("SELECT 1 AS a # x", "ambiguous"),
    ],
)
def test_dialect_without_a_reader_gets_what_all_read_alike(sql: str, reason: str | None) -> None:
    assert "trino" not in READERS
    facts = replace(registry.provider("postgres").capabilities, dialect="trino")
    assert refusal_by(facts, sql) in {reason, reason and "unparseable"}


HARMLESS = frozenset(
    """amvalidate array_sample array_shuffle bernoulli brinhandler bthandler clock_timestamp
    current_query currtid2 dsnowball_init dsnowball_lexize gen_random_uuid ginhandler gisthandler
    hashhandler heap_tableam_handler pg_available_wal_summaries pg_blocking_pids
    pg_collation_actual_version pg_control_checkpoint pg_control_init pg_control_recovery
    pg_control_system pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn
    pg_database_collation_actual_version pg_database_size pg_get_aios
    pg_get_backend_memory_contexts pg_get_loaded_modules pg_get_multixact_members
    pg_get_sequence_data pg_get_shmem_allocations pg_get_shmem_allocations_numa pg_get_wait_events
    pg_get_wal_replay_pause_state pg_get_wal_resource_managers pg_get_wal_summarizer_state
    pg_indexes_size pg_is_in_recovery pg_is_wal_replay_paused
    pg_isolation_test_session_is_blocked pg_jit_available pg_last_committed_xact
    pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status
    pg_notification_queue_usage pg_partition_ancestors pg_partition_tree pg_prepared_xact
    pg_relation_size pg_safe_snapshot_blocking_pids pg_sequence_last_value
    pg_show_replication_origin_status pg_sleep pg_sleep_for pg_sleep_until
    pg_stat_clear_snapshot pg_stat_force_next_flush pg_stat_get_backend_io
    pg_stat_get_backend_wal pg_stat_get_io pg_stat_get_recovery_prefetch pg_stat_have_stats
    pg_table_size pg_tablespace_size pg_total_relation_size pg_wal_summary_contents
    pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_xact_status plpgsql_call_handler
    plpgsql_inline_handler plpgsql_validator random random_normal spghandler system timeofday
    txid_status uuidv4 uuidv7""".split()
)
"""Volatile in the server's catalog, and yet they read, wait or make something up, no more."""


def test_volatile_functions_of_the_server_are_refused_or_known(
    owner: psycopg.Connection[Any],
) -> None:
    rows = owner.execute(
        "SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v' "
        "AND pronamespace = 'pg_catalog'::regnamespace AND prorettype <> 'trigger'::regtype "
        "AND proname NOT LIKE 'pg\\_stat\\_get\\_xact\\_%'"
    ).fetchall()
    allowed = {name for (name,) in rows if refusal(f"SELECT {name}()", "postgres") is None}
    assert allowed - HARMLESS == set()


KNOWN_TABLES = frozenset(
    """pg_aios pg_backend_memory_contexts pg_config pg_replication_origin_status
    pg_shmem_allocations pg_shmem_allocations_numa pg_statistic pg_statistic_ext_data sql_parts
    transforms""".split()
)
"""For superusers only, and yet no secrets: the server's memory, and samples of what they read."""


def test_tables_of_the_server_that_not_everybody_reads_are_refused_or_known(
    owner: psycopg.Connection[Any],
) -> None:
    rows = owner.execute(
        "SELECT DISTINCT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relkind IN ('r', 'v') AND a.attnum > 0 AND c.relnamespace IN "
        "('pg_catalog'::regnamespace, 'information_schema'::regnamespace) "
        "AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT')"
    ).fetchall()
    found = {name for (name,) in rows}
    assert "pg_authid" in found
    allowed = {name for name in found if refusal(f"SELECT * FROM {name}", "postgres") is None}
    assert allowed - KNOWN_TABLES == set()


FRAGMENTS = """' ' ' " $$ $a$ $é$ $1 E' e' U&' U&" N' B' X' /* */ -- \\ \\' '' "" , 1 a AS_b {#
    #} {{ {% # % @ ::text || ( ) UESCAPE / * + - FROM_t ;""".split()
BLANKS = [" ", "\n", "\r", "\x0b", "\x0c", "\xa0", "\u2028"]
CALLS = [", nextval($$canary$$)", "nextval($$canary$$)", ", nextval('canary') -- "]


@pytest.fixture(scope="module")
def trap(endpoints: dict[str, Any]) -> Any:
    """A session in which calling nextval fails as a write does."""
    dsn = endpoints["postgres"]["datavault_dsn"]
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("CREATE SEQUENCE IF NOT EXISTS canary")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = on")
        yield connection


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_call_hides_from_the_guard_in_what_the_server_reads_otherwise(
    trap: psycopg.Connection[Any], data: st.DataObject
) -> None:
    """Whatever mixture of quotes and comments the guard lets pass, the server finds no call."""
    pieces = data.draw(
        st.lists(st.sampled_from([*FRAGMENTS, *BLANKS]), min_size=2, max_size=5, unique=True)
    )
    mixed = st.lists(st.sampled_from([*pieces, "'", "/*", "*/"]), max_size=7).map("".join)
    sql = f"SELECT 1 {data.draw(mixed)}{data.draw(st.sampled_from(CALLS))}{data.draw(mixed)}"
    sql = sql.replace("_", " ")
    if refusal(sql, "postgres", frozenset({"nextval"})) is not None:
        return
    assert not _calls(trap, sql), sql


def _calls(trap: psycopg.Connection[Any], sql: str) -> bool:
    try:
        trap.execute(sql.encode(), binary=True)
    except psycopg.errors.ReadOnlySqlTransaction:
        return True
    except psycopg.Error:
        return False
    return False
