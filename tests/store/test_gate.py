"""What a user's SQL may say: a corpus of attempts to leave the team's database, and one of rows.

An attempt is made twice: through the gate, which refuses it; and as the text it is, by the team's
own reader, as if there were no gate. `engine` says what comes of that: it refuses, answers with
nothing that is another's, or ends and is started again. `@theirs@` is another team's database,
`@file@` a file.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import Error as ClientError

from connectors.errors import ConnectorError, SqlRefused
from connectors.types import Limits
from tests.store.conftest import OURS, SECRET, THEIRS
from tests.store.running import Engine
from tests.waiting import wait_for
from warehouse.store import client, names, queries
from warehouse.store.gate import admit

HERE = Path(__file__).parent


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


REFUSED, ALLOWED = lines("refused.jsonl"), lines("allowed.jsonl")


def filled_in(sql: str, file: Path) -> str:
    return sql.replace("@theirs@", names.database(THEIRS)).replace("@file@", str(file))


@pytest.mark.parametrize("attempt", REFUSED, ids=lambda attempt: attempt["sql"][:60])
def test_attempt_to_leave_is_refused(attempt: dict[str, str], secret_file: Path) -> None:
    with pytest.raises(SqlRefused) as caught:
        admit(filled_in(attempt["sql"], secret_file), names.database(OURS))
    assert caught.value.reason == attempt["reason"]
    assert caught.value.detail
    assert caught.value.advice


def test_too_long_a_query_is_refused() -> None:
    with pytest.raises(SqlRefused) as caught:
        admit("SELECT " + "1, " * 40_000 + "1", names.database(OURS))
    assert caught.value.reason == "too_long"


@pytest.mark.parametrize("query", ALLOWED, ids=lambda query: query["sql"][:60])
def test_query_has_the_rows_it_should_have(query: dict[str, Any], store: Engine) -> None:
    found = queries.run(OURS, query["sql"], query.get("params")).read_all()
    rows = [[plain(value) for value in row.values()] for row in found.to_pylist()]
    assert rows == query["rows"]


def plain(value: Any) -> Any:
    """As JSON has it: a decimal as its text."""
    return value if isinstance(value, int | float | str | list | None) else str(value)


def test_nothing_comes_back_without_the_gate_either(store: Engine, secret_file: Path) -> None:
    """And what the engine says by itself is as the corpus records it."""
    engine = store.pid
    said = {
        attempt["sql"]: straight(filled_in(attempt["sql"], secret_file))
        for attempt in REFUSED
        if attempt["engine"] != "ends"
    }
    assert said == {a["sql"]: a["engine"] for a in REFUSED if a["engine"] != "ends"}
    assert store.pid == engine
    assert their_rows() == 1


def their_rows() -> int:
    return int(client.owner().command(f"SELECT count() FROM {names.database(THEIRS)}.secret"))


def straight(sql: str) -> str:
    """How the engine takes a text from the team's reader."""
    reader = client.reader(OURS)
    settings = {"max_execution_time": 2, "database": reader.database}
    try:
        said = reader._client().raw_query(sql, settings=settings)
        outcome = "answers"
    except ClientError as exc:
        said = str(exc).encode()
        outcome = "refuses"
    assert SECRET.encode() not in said, sql
    return outcome


def test_engine_that_a_text_ends_comes_back(store: Engine) -> None:
    """The table function Python() looks into the Python that called it, and there is none."""
    for attempt in REFUSED:
        if attempt["engine"] == "ends":
            engine = store.pid
            assert straight(attempt["sql"]) == "refuses"
            assert wait_for(lambda ended=engine: store.pid not in (0, ended), 10)
            store.await_answer()
            assert their_rows() == 1


def test_reader_cannot_raise_its_limits(store: Engine) -> None:
    reader = client.reader(OURS)
    for name, value in (("max_execution_time", 100_000), ("max_memory_usage", 2**40)):
        with pytest.raises(ClientError, match="SETTING_CONSTRAINT_VIOLATION"):
            reader._client().raw_query(f"SELECT 1 SETTINGS {name} = {value}")
    with pytest.raises(ClientError, match="READONLY"):
        reader._client().raw_query("SELECT 1 SETTINGS readonly = 0")


@pytest.mark.parametrize(
    "limits",
    [Limits(max_rows=2), Limits(max_bytes_returned=20), Limits(max_bytes_scanned=10)],
    ids=["rows", "bytes", "bytes read"],
)
def test_query_beyond_a_limit_says_so(limits: Limits, store: Engine) -> None:
    with pytest.raises(ConnectorError) as caught:
        queries.run(OURS, "SELECT id, name FROM events", limits=limits).read_all()
    assert caught.value.code == "limit_exceeded"
