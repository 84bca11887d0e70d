"""Dockerfile, docker-compose.yml and .env.example agree with the settings and with each other."""

import re
import shlex
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from service import config
from service.config import SETTINGS
from tests.service.running import CHECKOUT, manage

NAMES = {setting.name for setting in SETTINGS}
OWN_OF_AN_IMAGE = {
    "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE"},
    "minio": {"MINIO_ROOT_USER_FILE", "MINIO_ROOT_PASSWORD_FILE"},
    "clickhouse": {"CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD_FILE"},
}
OURS = {"web", "worker", "beat", "migrate"}
FILLED_IN = {
    "SECRET_KEY": "s" * 50,
    "WAREHOUSE_KEYS": "k1:AAAA",
    **{f"{name}_PASSWORD": "pw" for name in ("POSTGRES", "REDIS", "MINIO", "CLICKHOUSE")},
}
MAY_STAY_EMPTY = {"EMAIL_URL", "METRICS_TOKEN"}


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def example() -> dict[str, str]:
    """The example file's values in order, with its references to itself filled in."""
    values: dict[str, str] = {}
    for line in (CHECKOUT / ".env.example").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, text = line.partition("=")
            assert name not in values, name
            values[name] = Template(text).substitute(values | FILLED_IN)
    return values


def test_every_service_is_there_and_watched(compose: Any) -> None:
    services = compose["services"]
    assert {"postgres", "redis", "minio", "clickhouse", "web", "worker", "beat"} <= set(services)
    for name, service in services.items():
        ends_by_itself = name in ("migrate", "bucket")
        assert ends_by_itself or service["healthcheck"]["test"], name
        assert service["restart"] == ("on-failure" if ends_by_itself else "unless-stopped")


def test_images_are_plain_names_with_a_version(compose: Any) -> None:
    lines = (CHECKOUT / "Dockerfile").read_text().splitlines()
    images = [line.split()[1] for line in lines if line.startswith("FROM ")]
    images += [s["image"] for s in compose["services"].values() if "build" not in s]
    for image in images:
        assert re.fullmatch(r"[a-z]+(/[a-z-]+)?:[\w.-]+", image), image
        assert not image.endswith(":latest")


def test_every_variable_set_is_a_setting_or_the_images_own(compose: Any) -> None:
    for name, service in compose["services"].items():
        variables = set(service.get("environment", {}))
        if name in OURS:
            assert {variable.removesuffix("_FILE") for variable in variables} <= NAMES
        else:
            assert variables <= OWN_OF_AN_IMAGE.get(name, set()) | {"STAGE_S3_BUCKET"}, name


def test_every_variable_used_is_in_the_example(compose: Any, example: dict[str, str]) -> None:
    text = (CHECKOUT / ".env.example").read_text()
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (CHECKOUT / "docker-compose.yml").read_text()))
    used |= {secret["environment"] for secret in compose["secrets"].values()}
    assert used
    for name in used:
        assert re.search(rf"^(# )?{name}=", text, re.M), name


def test_secrets_come_as_files_and_are_granted_where_they_are_read(compose: Any) -> None:
    secret = {setting.name for setting in SETTINGS if setting.secret}
    for name, service in compose["services"].items():
        granted = {f"/run/secrets/{found}" for found in service.get("secrets", [])}
        assert granted <= {f"/run/secrets/{found}" for found in compose["secrets"]}
        read = set(re.findall(r"/run/secrets/\w+", str(service)))
        assert read == granted, name
        assert not secret & set(service.get("environment", {})), name


def test_services_wait_for_what_they_need(compose: Any) -> None:
    services = compose["services"]
    for name in ("web", "worker", "beat"):
        assert set(services[name]["depends_on"]) == {"migrate", "redis", "clickhouse", "bucket"}
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_values_of_compose_fit_the_settings(compose: Any, tmp_path: Path) -> None:
    given = {}
    for name, text in compose["services"]["web"]["environment"].items():
        if name.endswith("_FILE"):
            plain = name.removesuffix("_FILE")
            mounted = tmp_path / plain
            mounted.write_text(FITTING[plain])
            given[name] = str(mounted)
        else:
            given[name] = re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", str(text))
    values = config.load(given)
    assert values["ALLOWED_HOSTS"][0] == "localhost"  # as the health check asks
    assert values["SECURE_COOKIES"] is True


FITTING = {
    "DATABASE_URL": "postgresql://service:pw@postgres:5432/service",
    "REDIS_URL": "redis://:pw@redis:6379/0",
    "SECRET_KEY": "s" * 50,
    "WAREHOUSE_KEYS": "k1:AAAA",
    "STAGE_S3_ACCESS_KEY": "warehouse",
    "STAGE_S3_SECRET_KEY": "password",
    "EMAIL_URL": "",
    "METRICS_TOKEN": "",
    "CLICKHOUSE_URL": "http://warehouse:pw@clickhouse:8123",
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_setting_is_in_the_example_once(name: str) -> None:
    text = (CHECKOUT / ".env.example").read_text()
    assert len(re.findall(rf"^(?:# )?{name}=", text, re.M)) == 1


def test_example_fits_once_it_is_filled_in(example: dict[str, str]) -> None:
    settings = {name: text for name, text in example.items() if name in NAMES}
    values = config.load(settings | {name: FILLED_IN[name] for name in NAMES & set(FILLED_IN)})
    assert values["DATABASE_URL"] == "postgresql://service:pw@postgres:5432/service"
    assert values["STAGE_S3_SECRET_KEY"] == "pw"
    assert values["QUERY_MAX_ROWS"] == 10_000


def test_example_does_not_work_before_it_is_filled_in(example: dict[str, str]) -> None:
    empty = {name for name, text in example.items() if not text}
    assert empty == set(FILLED_IN) | MAY_STAY_EMPTY


def test_commented_examples_fit_too() -> None:
    text = (CHECKOUT / ".env.example").read_text()
    shown = dict(re.findall(r"^# ([A-Z0-9_]+)=(.*)$", text, re.M))
    values = config.load(FITTING | {name: shown[name] for name in shown.keys() & NAMES})
    assert values["WAREHOUSE_ALLOWED_PRIVATE_HOSTS"] == ["reports.internal:5432", "10.20.0.0/16"]


def dockerfile() -> str:
    return (CHECKOUT / "Dockerfile").read_text().replace("\\\n", " ")


def test_image_is_built_from_the_locked_hashes_and_runs_as_nobody_special() -> None:
    text = dockerfile()
    assert "--require-hashes" in text
    assert "COPY locks/service.lock" in text
    last_stage = text.rpartition("FROM ")[2]
    assert re.search(r"^USER [1-9]\d*$", last_stage, re.M)
    assert last_stage.index("collectstatic") < last_stage.index("USER ")
    requirements = re.split(r"\n(?=\S)", (CHECKOUT / "locks/service.lock").read_text().strip())
    assert all("--hash=sha256:" in requirement for requirement in requirements)


def test_image_can_collect_its_static_files(tmp_path: Path) -> None:
    run = next(line for line in dockerfile().splitlines() if "collectstatic" in line)
    words = shlex.split(run.removeprefix("RUN "))
    python = words.index("python")
    env = dict(word.split("=", 1) for word in words[:python])
    assert words[python + 1] == "manage.py"
    done = manage(*words[python + 2 :], "--dry-run", env=env | {"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d{3} static files copied", done.stdout)


def test_image_has_every_package_of_the_service_and_not_the_sandbox() -> None:
    kept = {
        line.removeprefix("!")
        for line in (CHECKOUT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    packages = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} - {"sandbox"}
    assert packages <= kept
    assert "sandbox" not in kept
