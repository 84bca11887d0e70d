"""Every setting of the service in one table: name, type, default, what it is for.

A value comes from the environment, from a file named by ``<NAME>_FILE`` (secrets are mounted
that way), or, when no DATABASE_URL is given, from the sandbox that runs on this machine.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

REQUIRED = object()
"""Marks a setting that has no default: without it the service does not start."""


def _split(value: object) -> object:
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


def _url(*schemes: str, example: str) -> AfterValidator:
    """A validator: a URL like the example, with a host; what it was given is never repeated."""

    def check(text: str) -> str:
        try:
            parts = urlsplit(text)
            usable = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable or (urlsplit(example).path and not parts.path.strip("/")):
            raise ValueError(f"it must be of the form {example}")
        return text

    return AfterValidator(check)


Words = Annotated[list[str], BeforeValidator(_split)]
Places = Annotated[list[Annotated[str, Field(pattern=r"^\w+:\S+$")]], BeforeValidator(_split)]
Text = Annotated[str, Field(min_length=1)]
Dotted = Annotated[str, Field(pattern=r"^\w+(\.\w+)+$")]
HostTable = Literal[""] | Annotated[str, Field(pattern=r"^\w+\.\w+$")]
Postgres = Annotated[
    str, _url("postgresql", "postgres", example="postgresql://user:password@host:5432/name")
]
Redis = Annotated[str, _url("redis", "rediss", example="redis://:password@host:6379")]
Mail = (
    Literal[""]
    | Annotated[str, _url("smtp", "smtps", "smtp+tls", example="smtp+tls://user:password@host:587")]
)
Endpoint = Literal[""] | Annotated[str, _url("https", "http", example="https://host:port")]
ClickHouse = (
    Literal[""] | Annotated[str, _url("https", "http", example="https://user:password@host:8443")]
)


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    name: str
    kind: Any
    default: object
    help: str
    secret: bool = False


SETTINGS = (
    Setting("DATABASE_URL", Postgres, REQUIRED,
            "Postgres of the service, as postgresql://user:password@host:5432/name. "
            "Unset: the sandbox's, while one runs.", secret=True),
    Setting("REDIS_URL", Redis, REQUIRED, "Redis for Celery, as redis://:password@host:6379/0.",
            secret=True),
    Setting("SECRET_KEY", Annotated[str, Field(min_length=32)], REQUIRED,
            "Django's signing key, 32 characters or more.", secret=True),
    Setting("WAREHOUSE_KEYS", str, "",
            "Key ring for credentials: id:base64 of 32 bytes, comma-separated; the first one "
            "encrypts, all of them decrypt. Needed unless WAREHOUSE_KMS_KEY_ID is set.",
            secret=True),
    Setting("WAREHOUSE_KMS_KEY_ID", str, "",
            "AWS KMS key (id, ARN or alias) that wraps data keys; WAREHOUSE_KEYS then only opens "
            "what it wrapped before."),
    Setting("WAREHOUSE_KMS_ENDPOINT", Endpoint, "", "Another KMS endpoint than AWS's own."),
    Setting("WAREHOUSE_ALLOWED_PRIVATE_HOSTS", Words, [],
            "Private hosts that connections may reach: host, host:port, IP or CIDR, "
            "comma-separated."),
    Setting("WAREHOUSE_OWN_IDENTITY", Places, [],
            "Where connections may sign in as this machine, without a secret: provider:target, "
            "comma-separated."),
    Setting("WAREHOUSE_POOL_SIZE", Annotated[int, Field(ge=1, le=32)], 8,
            "Most sessions that one process has open for the queries of one connection; all "
            "connections share 32."),
    Setting("WAREHOUSE_POOL_IDLE_S", Annotated[int, Field(ge=0, le=3600)], 60,
            "Seconds after which a session that no query uses is closed; 0 keeps none."),
    Setting("WAREHOUSE_TEAM_MODEL", Dotted, "warehouse.Team", "The model that owns connections."),
    Setting("WAREHOUSE_ACCESS_POLICY", Dotted, "warehouse.access.MembershipPolicy",
            "The class that says which role a user has in a team."),
    Setting("STAGE_S3_BUCKET", str, "", "Bucket in which pipelines stage Parquet files."),
    Setting("STAGE_S3_ENDPOINT", Endpoint, "", "Another S3 endpoint than AWS's own."),
    Setting("STAGE_S3_REGION", Text, "us-east-1", "Region of the bucket."),
    Setting("STAGE_S3_ACCESS_KEY", str, "",
            "Access key for the bucket; empty: boto3's own chain (instance role, …).", secret=True),
    Setting("STAGE_S3_SECRET_KEY", str, "", "Secret key for the bucket.", secret=True),
    Setting("CLICKHOUSE_URL", ClickHouse, "",
            "A ClickHouse server for the store, as https://user:password@host:8443.", secret=True),
    Setting("CLICKHOUSE_CLUSTER", str, "",
            "Cluster of that server whose hosts all get the store's databases and replicated "
            "tables. Never tried yet."),
    Setting("STORE_PATH", str, "",
            "Folder of the store's embedded engine, which manage.py engine runs. Neither this nor "
            "CLICKHOUSE_URL: there is no store."),
    Setting("STORE_MEMORY_MB", Annotated[int, Field(ge=512, le=1_048_576)], 2048,
            "Most memory that the embedded engine's queries take together, in MB; one query takes "
            "half of it at most."),
    Setting("WAREHOUSE_EVENTS_TABLE", HostTable, "",
            "The host project's own table of events at CLICKHOUSE_URL, as database.table; it is "
            "read, and not written. Empty: each team has one of ours."),
    Setting("WAREHOUSE_PERSONS_TABLE", HostTable, "", "Likewise, of persons."),
    Setting("WAREHOUSE_PERSON_IDS_TABLE", HostTable, "",
            "Likewise, of which distinct id is which person's."),
    Setting("STORE_CACHE_MB", Annotated[int, Field(ge=0, le=10_485_760)], 1024,
            "Most room for the answers that hybrid connections keep, of all teams together, in "
            "MB; those that were not used for longest go first."),
    Setting("ALLOWED_HOSTS", Words, ["localhost", "127.0.0.1", "[::1]"],
            "Host names this service answers to, comma-separated."),
    Setting("CSRF_TRUSTED_ORIGINS", Words, [], "Origins whose forms are trusted."),
    Setting("DEBUG", bool, False, "Django's debug pages; never on in production."),
    Setting("SECURE_COOKIES", bool, True, "Cookies over https only; off for plain local use."),
    Setting("LOG_LEVEL", Literal["DEBUG", "INFO", "WARNING", "ERROR"], "INFO",
            "Least level that is logged."),
    Setting("LOG_FORMAT", Literal["json", "console"], "json", "How log lines look."),
    Setting("QUERY_TIMEOUT_S", Annotated[int, Field(ge=1, le=3600)], 60,
            "Time limit of a query, in seconds, where the connection sets none."),
    Setting("QUERY_MAX_ROWS", Annotated[int, Field(ge=1, le=1_000_000)], 10_000,
            "Most rows one query over the API returns."),
    Setting("EMAIL_URL", Mail, "",
            "Mail server for alerts, as smtp+tls://user:password@host:587; smtps:// speaks TLS "
            "from the first byte on, smtp:// none. Empty: no e-mail is sent.", secret=True),
    Setting("EMAIL_FROM", Text, "warehouse@localhost", "The sender of e-mails."),
    Setting("METRICS_TOKEN", Literal[""] | Annotated[str, Field(min_length=16)], "",
            "Bearer token for Prometheus at /metrics, 16 characters or more. Empty: there are no "
            "metrics.", secret=True),
    Setting("PIPELINE_LEASE_S", Annotated[int, Field(ge=2, le=600)], 15,
            "A run whose worker has not been heard of for so long, in seconds, is given up."),
    Setting("PIPELINE_CHUNK_MB", Annotated[int, Field(ge=1, le=65_536)], 256,
            "How much of a source table one chunk is, in MB: what a worker takes at a time, and "
            "what a crash may cost."),
    Setting("PIPELINE_LOG_LIMIT_MB", Annotated[int, Field(ge=1, le=10_485_760)], 10_240,
            "How much of its log a source may keep for a table in mode cdc, in MB, before that "
            "is let go; the next run then reads the whole table."),
)  # fmt: skip


def load(
    environment: Mapping[str, str] = os.environ, fallback: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Every setting's value; raises ImproperlyConfigured with one sentence for each bad one."""
    fallback = fallback or {}
    values, complaints = {}, []
    for setting in SETTINGS:
        try:
            values[setting.name] = _value(setting, environment, fallback)
        except ValueError as exc:
            complaints.append(f"{setting.name}: {exc}")
    if complaints:
        raise ImproperlyConfigured("The settings cannot be used.\n  " + "\n  ".join(complaints))
    return values


def _value(setting: Setting, environment: Mapping[str, str], fallback: Mapping[str, Any]) -> Any:
    raw = _raw(setting, environment)
    if raw is None:
        raw = fallback.get(setting.name, setting.default)
    if raw is REQUIRED:
        raise ValueError(f"is not set. {setting.help}")
    try:
        return TypeAdapter(setting.kind).validate_python(raw)
    except ValidationError as exc:
        shown = "its value" if setting.secret else repr(raw)
        raise ValueError(f"{shown} does not fit: {_reason(exc)}. {setting.help}") from None


def _reason(exc: ValidationError) -> str:
    """The last complaint, without the value: of a union's members the last is the wide one."""
    error = exc.errors()[-1]
    said = str(error["ctx"]["error"] if error["type"] == "value_error" else error["msg"])
    return said[:1].lower() + said[1:]


def _raw(setting: Setting, environment: Mapping[str, str]) -> str | None:
    path = environment.get(f"{setting.name}_FILE")
    if path is None:
        return environment.get(setting.name)
    if setting.name in environment:
        raise ValueError(f"is set twice; keep either it or {setting.name}_FILE.")
    try:
        return Path(path).read_text().strip()
    except OSError as exc:
        raise ValueError(f"the file {path} cannot be read: {exc.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not text.") from None
