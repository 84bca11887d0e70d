"""`manage.py verify_pipeline`: source and target compared by checksums."""

import json
import uuid
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from etl import pipelines, runner, verify
from etl.models import Pipeline, PipelineRun
from tests.etl.compare import Vault
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
Records = Callable[[int], None]


@pytest.fixture
def moved(start: Start) -> Callable[[], None]:
    """Brings a run to its end."""

    def run() -> None:
        ended = runner.execute(start().pk)
        assert ended is not None
        assert (ended.status, ended.error) == ("succeeded", "")

    return run


def verified(*arguments: str) -> tuple[bool, dict[str, Any]]:
    """Whether the command ends well, and what it says of the only table."""
    out = StringIO()
    complaint = ""
    try:
        call_command("verify_pipeline", "nightly", "--json", *arguments, stdout=out)
    except CommandError as exc:
        complaint = f"{exc.returncode} {exc}"
    is_same = not complaint
    if complaint:
        assert complaint.startswith("1 Not the same: public.records. Rows that were written")
    (found,) = json.loads(out.getvalue())
    assert found["is_same"] is is_same
    return is_same, found


def test_keys_of_anybody_do_nothing_to_a_terminal(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = verify.Finding(verify.Kind.MISSING, {"[b]key": "[red]x\x1b[31m"})
    verdict = verify.Verdict(pipeline.tables.get(), findings=[key])
    monkeypatch.setattr(verify, "tables", lambda *_: [verdict])
    out = StringIO()
    with pytest.raises(CommandError, match="Not the same"):
        call_command("verify_pipeline", "nightly", stdout=out)
    assert "[b]key" in out.getvalue()
    assert r"[red]x\x1b[31m" in out.getvalue()


def found_in(verdict: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    return sorted((f["what"], f["key"]["key"], f["columns"]) for f in verdict["findings"])


def test_target_is_the_source_after_a_run(
    pipeline: Pipeline, records: Records, moved: Callable[[], None]
) -> None:
    records(300)
    moved()
    is_same, found = verified()
    assert is_same
    assert (found["rows_in_source"], found["rows_in_target"]) == (300, 300)
    assert (found["buckets_differing"], found["findings"], found["not_compared"]) == (0, [], [])


def test_rows_changed_behind_our_back_are_named_with_their_columns(
    pipeline: Pipeline,
    records: Records,
    moved: Callable[[], None],
    lake: Any,
    target_table: str,
) -> None:
    records(300)
    moved()
    for change in (
        f"DELETE FROM \"{target_table}\" WHERE KEY = '7'",
        f"UPDATE \"{target_table}\" SET AMOUNT = AMOUNT + 0.01 WHERE KEY = '8'",
        f"""UPDATE "{target_table}" SET METADATA = PARSE_JSON('{{"n": 9}}') WHERE KEY = '9'""",
        f"INSERT INTO \"{target_table}\" (TENANT, KEY) VALUES ('t0', 'new')",
    ):
        lake.cursor().execute(change)
    is_same, found = verified()
    assert not is_same
    assert (found["rows_in_source"], found["rows_in_target"]) == (300, 300)
    assert found_in(found) == [
        ("different", "8", ["amount"]),
        ("different", "9", ["metadata"]),
        ("missing", "7", []),
        ("surplus", "new", []),
    ]


def test_rows_written_and_deleted_since_the_run_differ(
    pipeline: Pipeline, records: Records, moved: Callable[[], None], vault: Vault
) -> None:
    records(20)
    moved()
    vault.execute("DELETE FROM records WHERE key = '3'")
    vault.execute("UPDATE records SET payload = '' WHERE key = '4'")
    assert found_in(verified()[1]) == [("different", "4", ["payload"]), ("surplus", "3", [])]


def test_doubled_row_is_surplus(
    pipeline: Pipeline,
    records: Records,
    moved: Callable[[], None],
    lake: Any,
    target_table: str,
) -> None:
    records(20)
    moved()
    lake.cursor().execute(
        f'INSERT INTO "{target_table}" SELECT * FROM "{target_table}" WHERE KEY = \'5\''
    )
    found = verified()[1]
    assert (found["rows_in_source"], found["rows_in_target"]) == (20, 21)
    assert found_in(found) == [("surplus", "5", [])]


def test_no_more_keys_are_told_than_asked_for(
    pipeline: Pipeline,
    records: Records,
    moved: Callable[[], None],
    lake: Any,
    target_table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verify, "VALUES_AT_ONCE", 30)
    records(100)
    moved()
    lake.cursor().execute(f'UPDATE "{target_table}" SET AMOUNT = 0')
    found = verified("--keys", "5")[1]
    assert (len(found["findings"]), found["more_differ"]) == (5, True)
    found = verified("--keys", "100")[1]
    assert (len(found["findings"]), found["more_differ"]) == (100, False)
    assert {f["key"]["key"] for f in found["findings"]} == {str(n) for n in range(1, 101)}


TYPES = """
CREATE TYPE mood AS ENUM ('fine', 'ü,-');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN price AS numeric(9,4);
CREATE TABLE records (
    id bigint, at timestamptz, day date, PRIMARY KEY (id, at, day),
    yes boolean, small smallint, exact numeric(38,10), whole numeric(20,0), wide numeric,
    cost price, r real, d float8, word text, fixed char(5), raw bytea, stamp timestamp,
    doc json, docb jsonb, list int[], feeling mood, couple pair, span int4range, clock time,
    gone interval, uid uuid, "Mixed ""Case" text
);
INSERT INTO records VALUES
    (1, '2026-01-02 03:04:05.123456+02', '2026-01-02', true, -3, 0.5, 100, 1.50, 7, 1.1, 0.1,
     '', 'a', '', '1969-12-31 23:59:59.999999', '{"b": 1.50, "a": [null, 12345678901234567890]}',
     '{"long key": {}, "a": "\\u0001 é"}', '{1,NULL}', 'ü,-', '(1,"x, y")', '[1,5)', '24:00',
     '1 mon -1 day', '6f9619ff-8b86-d011-b42d-00cf4fc964ff', 'é☃'),
    (2, '0001-01-01 00:00+00', '0001-01-01', false, 0, -12345678901234567890.0000000001, -1, 'NaN',
     -0.0001, 'NaN', 'Infinity', NULL, NULL, NULL, '0001-01-01', 'null', '[]', '{}', NULL, NULL,
     'empty', NULL, NULL, NULL, NULL),
    (3, '9999-12-31 23:59:59.999999+00', '9999-12-31', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     1e308, 'x', '', '\\x00ff', '9999-12-31 23:59:59.999999', NULL, NULL, NULL, NULL, '(,)', NULL,
     NULL, NULL, NULL, '')
"""


def test_every_kind_of_value_compares_equal_and_a_change_of_each_is_seen(
    vault: Vault,
    pipeline: Pipeline,
    moved: Callable[[], None],
    lake: Any,
    target_table: str,
) -> None:
    vault.execute(TYPES)
    moved()
    is_same, found = verified()
    assert (is_same, found["findings"], found["not_compared"]) == (True, [], [])
    columns = [
        *("YES", "SMALL", "EXACT", "WHOLE", "WIDE", "COST", "R", "D", "WORD", "FIXED", "RAW"),
        *("STAMP", "DOC", "DOCB", "LIST", "FEELING", "COUPLE", "SPAN", "CLOCK", "GONE", "UID"),
    ]
    nothing = ", ".join(f"{name} = NULL" for name in columns)
    lake.cursor().execute(f'UPDATE "{target_table}" SET {nothing} WHERE ID = 1')
    (finding,) = verified()[1]["findings"]
    assert finding["what"] == "different"
    assert sorted(finding["columns"]) == sorted(name.lower() for name in columns)


def test_null_is_not_empty_text_and_a_blank_is_seen(
    vault: Vault, pipeline: Pipeline, moved: Callable[[], None], lake: Any, target_table: str
) -> None:
    vault.execute("CREATE TABLE records (key int PRIMARY KEY, a text, b text, c text)")
    vault.execute("INSERT INTO records VALUES (1, NULL, '', '-'), (2, 'x', '-', ' ')")
    moved()
    assert verified()[0]
    lake.cursor().execute(f"UPDATE \"{target_table}\" SET A = '', B = NULL WHERE KEY = 1")
    lake.cursor().execute(f"UPDATE \"{target_table}\" SET A = 'x ' WHERE KEY = 2")
    different = [("different", "1", ["a", "b"]), ("different", "2", ["a"])]
    assert found_in(verified()[1]) == different


def test_values_in_quarantine_are_no_difference_but_are_told(
    vault: Vault, pipeline: Pipeline, moved: Callable[[], None], lake: Any, target_table: str
) -> None:
    vault.execute("CREATE TABLE records (key int PRIMARY KEY, day date, n numeric(9,2), doc json)")
    vault.execute(
        "INSERT INTO records VALUES (1, 'infinity', 'NaN', '{}'), (2, '2026-01-02', 1, "
        """'{"a": 1, "a": 2}'), (3, '0044-03-15 BC', 3, NULL), (4, '2026-01-02', 4, '1')"""
    )
    pipelines.update(pipeline, {"quarantine_limit": 9})
    moved()
    is_same, found = verified()
    assert (is_same, found["quarantined_rows"], found["findings"]) == (True, 3, [])
    lake.cursor().execute(f'UPDATE "{target_table}" SET N = 0 WHERE KEY = 3')
    lake.cursor().execute(f'UPDATE "{target_table}" SET DAY = NULL WHERE KEY = 4')
    found = verified()[1]
    different = [("different", "3", ["day", "n"]), ("different", "4", ["day"])]
    assert (found["quarantined_rows"], found_in(found)) == (2, different)


def test_table_without_a_key_is_compared_as_a_whole(
    vault: Vault, pipeline: Pipeline, moved: Callable[[], None], lake: Any, target_table: str
) -> None:
    vault.execute("CREATE TABLE records (a int, b text)")
    vault.execute("INSERT INTO records SELECT i % 3, NULL FROM generate_series(1, 10) AS i")
    pipeline.tables.update(mode="full")
    moved()
    assert verified()[0]
    lake.cursor().execute(f'UPDATE "{target_table}" SET A = 1 WHERE A = 2')
    is_same, found = verified()
    assert (is_same, found["has_key"], found["findings"]) == (False, False, [])
    assert (found["rows_in_source"], found["rows_in_target"]) == (10, 10)


def test_target_with_other_columns_and_types_is_compared_in_what_both_have(
    vault: Vault, pipeline: Pipeline, moved: Callable[[], None], lake: Any, target_table: str
) -> None:
    vault.execute("CREATE TABLE records (key int PRIMARY KEY, n numeric(6,2), word text)")
    vault.execute("INSERT INTO records VALUES (1, 1.50, 'a'), (2, -0.25, 'b')")
    lake.cursor().execute(
        f'CREATE TABLE "{target_table}" (KEY NUMBER(38,0), N NUMBER(12,4), WORD VARCHAR, X INT)'
    )
    moved()
    assert verified()[0]
    vault.execute("ALTER TABLE records ADD COLUMN later int DEFAULT 3")
    is_same, found = verified()
    assert (is_same, found["not_compared"]) == (True, ["later"])
    lake.cursor().execute(f'UPDATE "{target_table}" SET N = 1.5001 WHERE KEY = 1')
    assert found_in(verified()[1]) == [("different", "1", ["n"])]


def test_chunks_of_a_table_add_up(
    pipeline: Pipeline, records: Records, moved: Callable[[], None], vault: Vault, settings: Any
) -> None:
    settings.PIPELINE_CHUNK_MB = 0.1
    records(3_000)
    vault.execute("ANALYZE records")
    moved()
    is_same, found = verified()
    assert (is_same, found["rows_in_source"]) == (True, 3_000)
    assert found["buckets"] == 1


def test_screen_shows_counts_and_keys(
    pipeline: Pipeline, records: Records, moved: Callable[[], None], vault: Vault
) -> None:
    records(1_200)
    moved()
    vault.execute("UPDATE records SET amount = 0, key = '[red]8' WHERE key = '8'")
    out = StringIO()
    with pytest.raises(CommandError, match=r"Not the same: public\.records\. Rows that were"):
        call_command("verify_pipeline", "nightly", stdout=out)
    shown = out.getvalue()
    assert "1,200" in shown
    assert "2 keys differ" in shown
    assert "missing" in shown
    assert "[red]8" in shown


def test_target_that_is_not_there_is_an_error_with_its_code(
    pipeline: Pipeline, records: Records
) -> None:
    records(1)
    with pytest.raises(CommandError, match="object_not_found: There is no table") as caught:
        call_command("verify_pipeline", "nightly")
    assert caught.value.returncode == 2


def test_name_in_two_teams_needs_the_team(
    pipeline: Pipeline, other_team: Team, records: Records, moved: Callable[[], None]
) -> None:
    records(1)
    moved()
    twin = Pipeline.all_teams.get(pk=pipeline.pk)
    twin.pk, twin.team = uuid.uuid4(), other_team
    twin._state.adding = True
    twin.save()
    with pytest.raises(CommandError, match="--team"):
        call_command("verify_pipeline", "nightly")
    assert verified("--team", str(pipeline.team_id))[0]
