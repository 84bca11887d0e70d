"""The table of settings: where values come from, and how bad ones are told."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from service import config, sandbox_defaults
from service.config import REQUIRED, SETTINGS, Setting
from tests.service.running import CHECKOUT, environment, manage, python

NEEDED = {
    "DATABASE_URL": "postgresql://service:pw@db.internal:5432/service",
    "REDIS_URL": "redis://:pw@redis.internal:6379/0",
    "SECRET_KEY": "s" * 50,
}
DEFAULTS = {
    "WAREHOUSE_KEYS": "",
    "WAREHOUSE_KMS_KEY_ID": "",
    "WAREHOUSE_KMS_ENDPOINT": "",
    "WAREHOUSE_ALLOWED_PRIVATE_HOSTS": [],
    "WAREHOUSE_OWN_IDENTITY": [],
    "WAREHOUSE_POOL_SIZE": 8,
    "WAREHOUSE_POOL_IDLE_S": 60,
    "WAREHOUSE_TEAM_MODEL": "warehouse.Team",
    "WAREHOUSE_ACCESS_POLICY": "warehouse.access.MembershipPolicy",
    "STAGE_S3_BUCKET": "",
    "STAGE_S3_ENDPOINT": "",
    "STAGE_S3_REGION": "us-east-1",
    "STAGE_S3_ACCESS_KEY": "",
    "STAGE_S3_SECRET_KEY": "",
    "CLICKHOUSE_URL": "",
    "CLICKHOUSE_CLUSTER": "",
    "STORE_PATH": "",
    "STORE_MEMORY_MB": 2048,
    "WAREHOUSE_EVENTS_TABLE": "",
    "WAREHOUSE_PERSONS_TABLE": "",
    "WAREHOUSE_PERSON_IDS_TABLE": "",
    "STORE_CACHE_MB": 1024,
    "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"],
    "CSRF_TRUSTED_ORIGINS": [],
    "DEBUG": False,
    "SECURE_COOKIES": True,
    "LOG_LEVEL": "INFO",
    "LOG_FORMAT": "json",
    "QUERY_TIMEOUT_S": 60,
    "QUERY_MAX_ROWS": 10_000,
    "EMAIL_URL": "",
    "EMAIL_FROM": "warehouse@localhost",
    "METRICS_TOKEN": "",
    "PIPELINE_LEASE_S": 15,
    "PIPELINE_CHUNK_MB": 256,
    "PIPELINE_LOG_LIMIT_MB": 10_240,
}
OTHERS: dict[str, tuple[str, Any]] = {
    "DATABASE_URL": ("postgres://u@h/n?sslmode=require", "postgres://u@h/n?sslmode=require"),
    "REDIS_URL": ("rediss://r:1", "rediss://r:1"),
    "SECRET_KEY": ("k" * 32, "k" * 32),
    "WAREHOUSE_KEYS": ("k1:AAAA", "k1:AAAA"),
    "WAREHOUSE_KMS_KEY_ID": ("alias/x", "alias/x"),
    "WAREHOUSE_KMS_ENDPOINT": ("https://kms:1", "https://kms:1"),
    "WAREHOUSE_ALLOWED_PRIVATE_HOSTS": ("db:5432, 10.0.0.0/8,", ["db:5432", "10.0.0.0/8"]),
    "WAREHOUSE_OWN_IDENTITY": ("bigquery:p1, x:h:1", ["bigquery:p1", "x:h:1"]),
    "WAREHOUSE_POOL_SIZE": ("32", 32),
    "WAREHOUSE_POOL_IDLE_S": ("0", 0),
    "WAREHOUSE_TEAM_MODEL": ("host.Organization", "host.Organization"),
    "WAREHOUSE_ACCESS_POLICY": ("host.access.Policy", "host.access.Policy"),
    "STAGE_S3_BUCKET": ("stage", "stage"),
    "STAGE_S3_ENDPOINT": ("http://minio:9000", "http://minio:9000"),
    "STAGE_S3_REGION": ("eu-central-1", "eu-central-1"),
    "STAGE_S3_ACCESS_KEY": ("key", "key"),
    "STAGE_S3_SECRET_KEY": ("secret", "secret"),
    "CLICKHOUSE_URL": ("http://u:p@ch:8123", "http://u:p@ch:8123"),
    "CLICKHOUSE_CLUSTER": ("main", "main"),
    "STORE_PATH": ("/var/lib/store", "/var/lib/store"),
    "STORE_MEMORY_MB": ("512", 512),
    "WAREHOUSE_EVENTS_TABLE": ("analytics.events", "analytics.events"),
    "WAREHOUSE_PERSONS_TABLE": ("analytics.persons", "analytics.persons"),
    "WAREHOUSE_PERSON_IDS_TABLE": (
        "analytics.person_distinct_ids",
        "analytics.person_distinct_ids",
    ),
    "STORE_CACHE_MB": ("0", 0),
    "ALLOWED_HOSTS": ("a.example,b.example", ["a.example", "b.example"]),
    "CSRF_TRUSTED_ORIGINS": ("https://a.example", ["https://a.example"]),
    "DEBUG": ("on", True),
    "SECURE_COOKIES": ("0", False),
    "LOG_LEVEL": ("DEBUG", "DEBUG"),
    "LOG_FORMAT": ("console", "console"),
    "QUERY_TIMEOUT_S": ("3600", 3600),
    "QUERY_MAX_ROWS": ("1000000", 1_000_000),
    "EMAIL_URL": ("smtps://u:p@mail", "smtps://u:p@mail"),
    "EMAIL_FROM": ("etl@example.com", "etl@example.com"),
    "METRICS_TOKEN": ("t" * 16, "t" * 16),
    "PIPELINE_LEASE_S": ("2", 2),
    "PIPELINE_CHUNK_MB": ("1", 1),
    "PIPELINE_LOG_LIMIT_MB": ("1", 1),
}
BAD = [
    ("DATABASE_URL", ""),
    ("DATABASE_URL", "mysql://user:hidden@h/n"),
    ("DATABASE_URL", "postgresql:///n"),
    ("DATABASE_URL", "postgresql://user:hidden@h"),
    ("DATABASE_URL", "postgresql://user:hidden/x@h/n"),
    ("DATABASE_URL", "postgresql://user:hidden@h:99999/n"),
    ("REDIS_URL", "http://hidden@h"),
    ("REDIS_URL", "redis.internal:6379"),
    ("SECRET_KEY", "hidden"),
    ("WAREHOUSE_KMS_ENDPOINT", "kms"),
    ("WAREHOUSE_OWN_IDENTITY", "bigquery"),
    ("WAREHOUSE_POOL_SIZE", "33"),
    ("WAREHOUSE_POOL_IDLE_S", "-1"),
    ("WAREHOUSE_TEAM_MODEL", "Team"),
    ("WAREHOUSE_ACCESS_POLICY", "a policy"),
    ("STAGE_S3_ENDPOINT", "minio:9000"),
    ("STAGE_S3_REGION", ""),
    ("CLICKHOUSE_URL", "clickhouse://u:hidden@h"),
    ("STORE_MEMORY_MB", "511"),
    ("WAREHOUSE_EVENTS_TABLE", "events"),
    ("WAREHOUSE_EVENTS_TABLE", "a.b`.c"),
    ("STORE_CACHE_MB", "-1"),
    ("DEBUG", "perhaps"),
    ("SECURE_COOKIES", ""),
    ("LOG_LEVEL", "loud"),
    ("LOG_FORMAT", "xml"),
    ("QUERY_TIMEOUT_S", "0"),
    ("QUERY_TIMEOUT_S", "1.5"),
    ("QUERY_MAX_ROWS", "1000001"),
    ("EMAIL_URL", "mail:25"),
    ("EMAIL_URL", "http://user:hidden@mail"),
    ("EMAIL_FROM", ""),
    ("METRICS_TOKEN", "hidden"),
    ("PIPELINE_LEASE_S", "1"),
    ("PIPELINE_CHUNK_MB", "0"),
    ("PIPELINE_LOG_LIMIT_MB", "0"),
]
every_setting = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)


def complaints(environment: dict[str, str]) -> list[str]:
    with pytest.raises(ImproperlyConfigured) as caught:
        config.load(environment)
    first, *rest = str(caught.value).split("\n  ")
    assert first == "The settings cannot be used."
    return rest


def test_defaults_hold_where_nothing_is_said() -> None:
    assert config.load(NEEDED) == NEEDED | DEFAULTS


@every_setting
def test_value_comes_from_the_environment_or_a_file(setting: Setting, tmp_path: Path) -> None:
    text, value = OTHERS[setting.name]
    others = {name: text for name, text in NEEDED.items() if name != setting.name}
    assert config.load({**others, setting.name: text})[setting.name] == value
    file = tmp_path / "mounted"
    file.write_text(f"{text}\n")
    assert config.load({**others, f"{setting.name}_FILE": str(file)})[setting.name] == value


@every_setting
def test_value_given_twice_is_refused(setting: Setting, tmp_path: Path) -> None:
    file = tmp_path / "mounted"
    file.write_text(OTHERS[setting.name][0])
    twice = {setting.name: OTHERS[setting.name][0], f"{setting.name}_FILE": str(file)}
    assert complaints(NEEDED | twice) == [
        f"{setting.name}: is set twice; keep either it or {setting.name}_FILE."
    ]


@pytest.mark.parametrize("name", NEEDED)
def test_required_setting_that_is_missing_is_named(name: str) -> None:
    given = {other: text for other, text in NEEDED.items() if other != name}
    (said,) = complaints(given)
    assert said.startswith(f"{name}: is not set. ")


def test_every_complaint_is_told_at_once() -> None:
    assert [said.split(":")[0] for said in complaints({"DEBUG": "x"})] == [*NEEDED, "DEBUG"]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_bad_value_is_told_in_one_sentence_without_secrets(name: str, text: str) -> None:
    (said,) = complaints(NEEDED | {name: text})
    setting = next(found for found in SETTINGS if found.name == name)
    assert said.startswith(f"{name}: ")
    assert "does not fit: " in said
    assert said.endswith(setting.help)
    assert "hidden" not in said


@pytest.mark.parametrize("name", ["DATABASE_URL", "QUERY_MAX_ROWS"])
def test_file_that_cannot_be_read_is_told(name: str, tmp_path: Path) -> None:
    given = {other: text for other, text in NEEDED.items() if other != name}
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for path, reason in (
        (tmp_path / "nowhere", "cannot be read: No such file or directory."),
        (tmp_path, "cannot be read: Is a directory."),
        (binary, "is not text."),
    ):
        said = complaints({**given, f"{name}_FILE": str(path)})
        assert said == [f"{name}: the file {path} {reason}"]


def test_secrets_are_marked() -> None:
    marked = {setting.name for setting in SETTINGS if setting.secret}
    assert marked == {
        *("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "WAREHOUSE_KEYS", "CLICKHOUSE_URL"),
        *("STAGE_S3_ACCESS_KEY", "STAGE_S3_SECRET_KEY", "EMAIL_URL", "METRICS_TOKEN"),
    }


@every_setting
def test_setting_is_in_the_readme_with_its_default(setting: Setting) -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*?)\|", (CHECKOUT / "README.md").read_text(), re.M)
    default = dict(rows)[setting.name].strip().strip("`")
    if setting.default is REQUIRED:
        assert default == "required"
    else:
        text = setting.default
        assert default == (",".join(text) if isinstance(text, list) else str(text))


def test_readme_lists_nothing_else() -> None:
    table = (CHECKOUT / "README.md").read_text().split("## Settings")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == {s.name for s in SETTINGS}


def test_service_tells_a_bad_setting_without_a_trace() -> None:
    done = manage("check", env=environment() | {"DATABASE_URL": "mysql://u:hidden@h/n"})
    assert done.returncode != 0
    assert done.stderr.startswith("The settings cannot be used.\n  DATABASE_URL: its value")
    assert "hidden" not in done.stderr
    assert "Traceback" not in done.stderr


def test_database_address_is_taken_apart(tmp_path: Path) -> None:
    url = "postgresql://us%40er:p%2Fw@db.internal/na%20me?sslmode=require&connect_timeout=3"
    script = "import json; from django.conf import settings; print(json.dumps(settings.DATABASES))"
    env = environment(DATABASE_URL=url, DJANGO_SETTINGS_MODULE="service.settings")
    done = python("-c", script, env=env)
    found = json.loads(done.stdout)["default"]
    assert (found["USER"], found["PASSWORD"], found["HOST"]) == ("us@er", "p/w", "db.internal")
    assert (found["PORT"], found["NAME"]) == (5432, "na me")
    asked = {"sslmode": "require", "connect_timeout": "3"}  # goes before what is set anyway
    assert found["OPTIONS"].items() >= asked.items()


def test_sandbox_fills_in_what_a_machine_of_its_own_needs(tmp_path: Path) -> None:
    assert sandbox_defaults.read(tmp_path) == {}
    endpoints = {
        "postgres": {"service_dsn": NEEDED["DATABASE_URL"], "host": "127.0.0.1", "port": 1},
        "redis": {"url": NEEDED["REDIS_URL"], "host": "127.0.0.1", "port": 8},
        "bigquery": {"api_endpoint": "http://127.0.0.1:2", "storage_endpoint": "127.0.0.1:3"},
        "snowflake": {"host": "127.0.0.1", "port": 4},
        "redshift": {"host": "127.0.0.1", "port": 5, "iam": {"endpoint": "http://127.0.0.1:6"}},
        "s3": {"endpoint": "http://127.0.0.1:7"},
        "store": {"path": "/sandbox/store"},
    }
    (tmp_path / "endpoints.json").write_text(json.dumps(endpoints))
    values = config.load({"QUERY_MAX_ROWS": "5"}, sandbox_defaults.read(tmp_path))
    assert values["WAREHOUSE_ALLOWED_PRIVATE_HOSTS"] == [
        *(f"127.0.0.1:{port}" for port in range(1, 8)),
        sandbox_defaults.RECEIVER,
    ]
    assert values["QUERY_MAX_ROWS"] == 5
    assert values["STORE_PATH"] == "/sandbox/store"
    again = config.load({}, sandbox_defaults.read(tmp_path))
    assert again["WAREHOUSE_KEYS"] == values["WAREHOUSE_KEYS"]
    for kept in (tmp_path / "secrets").iterdir():
        assert kept.stat().st_mode & 0o777 == 0o600
