"""The service beside a database or a queue that stays connected and says nothing."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from rest_framework.test import APIClient

from etl import pipelines
from etl.models import Pipeline, PipelineRun, RunStatus
from etl.pipelines import TableSpec
from service.health import ANSWER_S
from tests.api.shapes import PROBLEM
from tests.connectors.proxy import Proxy
from tests.service.running import environment, web
from warehouse.models import QueryOutcome, QueryRun, Team, WarehouseConnection

pytestmark = pytest.mark.django_db(transaction=True)

LONGEST_S = 12


@pytest.fixture
def relay() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


def through(relay: Proxy, url: str) -> str:
    """The URL of a server, by way of the relay."""
    at = urlsplit(url)
    assert at.hostname
    assert at.port
    port = relay.via(at.hostname, at.port)
    return url.replace(f"{at.hostname}:{at.port}", f"127.0.0.1:{port}")


def test_readiness_is_told_though_the_database_says_nothing(relay: Proxy, tmp_path: Path) -> None:
    url = through(relay, environment()["DATABASE_URL"])
    with web(tmp_path, environment(DATABASE_URL=url)) as (address, _):

        def answer(name: str) -> tuple[int, float]:
            started = time.monotonic()
            found = requests.get(f"{address}/health/{name}", timeout=LONGEST_S)
            return found.status_code, time.monotonic() - started

        assert answer("ready")[0] == 200
        relay.silent_after = 0
        with ThreadPoolExecutor(4) as several:
            told = list(several.map(answer, ["ready"] * 4))
        assert {status for status, _ in told} == {503}
        assert max(seconds for _, seconds in told) < 2 * ANSWER_S + 1
        assert answer("alive")[0] == 200


@pytest.fixture
def pipeline(team: Team, save: Callable[..., WarehouseConnection]) -> Pipeline:
    source, destination = save("postgres"), save("snowflake")
    made = Pipeline(
        team=team,
        name="nightly",
        source=source,
        destination=destination,
        destination_schema="PUBLIC",
        stage="S",
    )
    return pipelines.create(made, [TableSpec("public", "records")])


def test_run_is_kept_though_the_queue_says_nothing(
    relay: Proxy, tmp_path: Path, alice: APIClient, team: Team, pipeline: Pipeline
) -> None:
    relay.silent_after = 0
    url = through(relay, environment()["REDIS_URL"])
    with web(tmp_path, environment(REDIS_URL=url)) as (address, _):
        home = f"{address}/api/environments/{team.pk}"
        headers = {"Authorization": alice._credentials["HTTP_AUTHORIZATION"]}

        def post(path: str, body: Any = None) -> Any:
            return requests.post(f"{home}/{path}", json=body, headers=headers, timeout=LONGEST_S)

        with ThreadPoolExecutor(1) as other:
            asking = other.submit(post, "queries/", {"query": "SELECT 1 AS n", "wait_s": 10})
            answer = post(f"pipelines/{pipeline.pk}/run/")
            query = asking.result()
    assert (query.status_code, query.json()["code"]) == (503, "queue_unavailable")
    assert QueryRun.all_teams.get().outcome == QueryOutcome.FAILED
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
    assert set(answer.json()) == PROBLEM
    run = PipelineRun.objects.get(pipeline=pipeline)
    assert run.status == RunStatus.QUEUED
    assert run.next_try_at is not None  # what the look for lost runs goes by
