import stat
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandbox.supervisor import Sandbox

from .conftest import command_lines


def client(box: Sandbox) -> redis.Redis:
    return redis.Redis.from_url(box.endpoints["redis"]["url"], decode_responses=True)


def test_it_refuses_a_wrong_password(box: Sandbox) -> None:
    url = box.endpoints["redis"]["url"]
    wrong = redis.Redis.from_url(url.replace("@", "x@"), retry=Retry(NoBackoff(), 0))
    with pytest.raises(redis.AuthenticationError):
        wrong.ping()


def test_it_refuses_no_password(box: Sandbox) -> None:
    port = client(box).connection_pool.connection_kwargs["port"]
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host="127.0.0.1", port=port, retry=Retry(NoBackoff(), 0)).ping()


def test_the_password_is_in_no_command_line_and_no_readable_file(box: Sandbox) -> None:
    password = client(box).connection_pool.connection_kwargs["password"]
    assert len(password) > 20
    assert password not in command_lines()
    assert stat.S_IMODE((box.root / "redis" / "redis.conf").stat().st_mode) == 0o600


def test_streams_survive_a_restart(root: Path) -> None:
    with Sandbox(root, ("redis",)) as box, client(box) as connection:
        assert connection.config_get("appendonly") == {"appendonly": "yes"}
        connection.xadd("records", {"n": "1"})
    with Sandbox(root, ("redis",)) as box, client(box) as connection:
        assert [fields for _, fields in connection.xrange("records")] == [{"n": "1"}]


def test_it_listens_on_loopback_only(box: Sandbox) -> None:
    with client(box) as connection:
        assert connection.config_get("bind") == {"bind": "127.0.0.1"}
