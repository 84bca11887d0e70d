"""Results through a real server: sent as they arrive, ended when nobody reads them."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from rest_framework.test import APIClient

from sandbox.guardian import descendants_of
from tests.api.conftest import Sessions
from tests.service.running import Running, environment, web
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

MB = 2**20
ROWS_OF_500_BYTES = "SELECT g, repeat('x', 500) AS filler FROM generate_series(1, {}) AS g"
SLOW_FROM_ROW_10001 = (
    "SELECT g FROM generate_series(1, 12000) AS g WHERE g <= 10000 OR pg_sleep(0.0005) IS NOT NULL"
)
NO_ROW_FOR_A_MINUTE = (
    "SELECT count(*) FROM generate_series(1, 60) AS g, LATERAL pg_sleep(g * 0 + 1)"
)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None
) -> Iterator[tuple[str, Running]]:
    home = tmp_path_factory.mktemp("web")
    with web(home, environment(QUERY_MAX_ROWS="1000000")) as (address, running):
        yield address, running


@pytest.fixture
def ask(
    server: tuple[str, Running], alice: APIClient, shop_url: str
) -> Callable[[str], requests.Response]:
    """Starts a query over HTTP; its body is read by whoever asked."""
    headers = {"Authorization": alice._credentials["HTTP_AUTHORIZATION"]}

    def post(sql: str, timeout_s: float = 60, kind: str = "json") -> requests.Response:
        url = f"{server[0]}{shop_url}query/?format={kind}"
        return requests.post(
            url, json={"sql": sql}, headers=headers, stream=True, timeout=timeout_s
        )

    return post


def peak_mb(pid: int) -> float:
    """Most resident memory since it was last forgotten."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def test_large_result_streams_through_little_memory(
    server: tuple[str, Running], ask: Callable[[str], requests.Response]
) -> None:
    assert len(ask(ROWS_OF_500_BYTES.format(30_000)).json()["rows"]) == 30_000
    worker = max(descendants_of(server[1].guardian_pid))
    forget_peak(worker)
    before = peak_mb(worker)
    size, tail = 0, b""
    for chunk in ask(ROWS_OF_500_BYTES.format(200_000)).iter_content(MB):
        size, tail = size + len(chunk), (tail + chunk)[-500:]
    end = json.loads(b"{" + tail[tail.index(b'"row_count"') :])
    assert size > 100_000_000
    assert (end["row_count"], end["truncated"], end["error"]) == (200_000, False, None)
    assert peak_mb(worker) - before < 60


@pytest.mark.parametrize("kind", ["arrow", "csv", "parquet"])
def test_other_formats_stream_as_well_and_an_error_breaks_them_off(
    server: tuple[str, Running], ask: Callable[..., requests.Response], kind: str
) -> None:
    worker = max(descendants_of(server[1].guardian_pid))
    assert ask("SELECT 1 AS n", kind=kind).content
    forget_peak(worker)
    before = peak_mb(worker)
    sql = ROWS_OF_500_BYTES.format(150_000)
    size = sum(map(len, ask(sql, kind=kind).iter_content(MB)))
    assert size > (50_000 if kind == "parquet" else 75_000_000)
    assert peak_mb(worker) - before < 60
    broken = ask("SELECT 1 / (100000 - g) AS x FROM generate_series(1, 200000) AS g", kind=kind)
    assert broken.status_code == 200
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        b"".join(broken.iter_content(MB))


def test_first_rows_are_sent_before_the_last_are_made(
    ask: Callable[[str], requests.Response],
) -> None:
    chunks = ask(SLOW_FROM_ROW_10001).iter_content(None)
    body = b""
    while b"[5000]" not in body:
        body += next(chunks)
    came = time.monotonic()
    found = json.loads(body + b"".join(chunks))
    assert time.monotonic() - came > 0.5
    assert found["row_count"] == len(found["rows"]) == 12_000


def test_client_that_goes_away_while_reading_ends_the_query(
    ask: Callable[[str], requests.Response], sessions: Sessions
) -> None:
    answer = ask("SELECT generate_series(1, 100000000), repeat('x', 1000) AS filler")
    next(answer.iter_content(1000))
    assert len(sessions.pids()) == 1
    answer.close()
    assert until(lambda: sessions.pids() == sessions.pids("idle"))


def test_client_that_goes_away_while_waiting_ends_the_query(
    ask: Callable[..., requests.Response], sessions: Sessions
) -> None:
    with ThreadPoolExecutor(1) as client:
        asking = client.submit(ask, NO_ROW_FOR_A_MINUTE, timeout_s=1)
        assert until(lambda: bool(sessions.pids("active")))
        assert isinstance(asking.exception(), requests.ReadTimeout)
    assert until(lambda: not sessions.pids("active"))
    assert ask("SELECT 1").json()["rows"] == [[1]]
