"""`/health/ready` asks for the store where there is one."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.store.running import Engine

pytestmark = pytest.mark.django_db(transaction=True)


def ready(client: Client) -> tuple[int, Any]:
    answer = client.get("/health/ready")
    return answer.status_code, answer.json()


def test_without_a_store_nobody_asks_for_it(client: Client, settings: Any) -> None:
    settings.CLICKHOUSE_URL = settings.STORE_PATH = ""
    assert ready(client) == (200, {"ready": True})


def test_store_that_answers_is_there(client: Client, store: Engine) -> None:
    assert ready(client) == (200, {"ready": True})


@pytest.mark.parametrize("url", ["", "http://u:p@127.0.0.1:9", "https://u:p@127.0.0.1:9"])
def test_store_that_does_not_answer_is_missing(
    url: str, client: Client, settings: Any, tmp_path: Path
) -> None:
    settings.CLICKHOUSE_URL, settings.STORE_PATH = url, str(tmp_path)
    assert ready(client) == (503, {"ready": False, "missing": ["store"]})
