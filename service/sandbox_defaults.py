"""Settings for a service that runs beside a sandbox on the same machine."""

import base64
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RECEIVER = "127.0.0.1:9009"
"""Where whoever tries alerts may listen for them."""


def read(home: Path) -> dict[str, Any]:
    """Defaults out of a running sandbox's endpoints; empty when none runs."""
    try:
        endpoints = json.loads((home / "endpoints.json").read_text())
    except FileNotFoundError:
        return {}
    stage = endpoints.get("s3", {})
    return {
        "DATABASE_URL": endpoints["postgres"]["service_dsn"],
        "REDIS_URL": endpoints["redis"]["url"],
        "SECRET_KEY": _kept(home / "secrets" / "SECRET_KEY", secrets.token_urlsafe(48)),
        "WAREHOUSE_KEYS": _kept(home / "secrets" / "WAREHOUSE_KEYS", _new_key()),
        "WAREHOUSE_ALLOWED_PRIVATE_HOSTS": sorted({RECEIVER, *_hosts(endpoints)}),
        "STAGE_S3_BUCKET": stage.get("bucket", ""),
        "STAGE_S3_ENDPOINT": stage.get("endpoint", ""),
        "STAGE_S3_REGION": stage.get("region", "us-east-1"),
        "STAGE_S3_ACCESS_KEY": stage.get("access_key", ""),
        "STAGE_S3_SECRET_KEY": stage.get("secret_key", ""),
        "STORE_PATH": endpoints.get("store", {}).get("path", ""),
        "METRICS_TOKEN": _kept(home / "secrets" / "METRICS_TOKEN", secrets.token_urlsafe()),
        "SECURE_COOKIES": False,
        "LOG_FORMAT": "console",
    }


def _new_key() -> str:
    return "sandbox:" + base64.b64encode(secrets.token_bytes(32)).decode()


def _kept(path: Path, fresh: str) -> str:
    """The secret in ``path``, made once; readable by its owner only."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(fresh)
    except FileExistsError:
        pass
    return path.read_text()


def _hosts(endpoints: dict[str, dict[str, Any]]) -> set[str]:
    """host:port of every stand-in that a connection may point to."""
    reached = (found for name, found in endpoints.items() if name != "redis")
    return {address for endpoint in reached for address in _addresses(endpoint)}


def _addresses(endpoint: dict[str, Any]) -> Iterator[str]:
    if "host" in endpoint and "port" in endpoint:
        yield f"{endpoint['host']}:{endpoint['port']}"
    for name, value in endpoint.items():
        if isinstance(value, dict):
            yield from _addresses(value)
        elif name.endswith("endpoint"):
            yield urlsplit(value).netloc or value
