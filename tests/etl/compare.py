"""Source, target and broker in forms in which they can be compared."""

import base64
import json
from typing import Any

import psycopg
import redis

Vault = psycopg.Connection[Any]


def source_rows(vault: Vault) -> list[tuple[Any, ...]]:
    """Every row of the source as text that both ends can be compared in, sorted."""
    rows = vault.execute(
        "SELECT tenant, key, encode(payload, 'hex'), metadata->>'n', metadata->>'big', "
        "amount::text FROM records"
    ).fetchall()
    return sorted(rows, key=repr)


def target_rows(lake: Any, table: str) -> list[tuple[Any, ...]]:
    """Every row of the target in the same form."""
    rows = lake.cursor().execute(
        "SELECT TENANT, KEY, PAYLOAD, METADATA:n::VARCHAR, METADATA:big::VARCHAR, "
        f'AMOUNT::VARCHAR FROM "{table}"'
    )
    found = [(tenant, key, payload.hex(), *rest) for tenant, key, payload, *rest in rows]
    return sorted(found, key=repr)


def broker_messages(url: str) -> list[dict[str, Any]]:
    """Tasks that wait in Redis, which are taken away."""
    broker = redis.from_url(url)
    waiting, _ = broker.pipeline().lrange("celery", 0, -1).delete("celery").execute()
    messages = [json.loads(message) for message in waiting]
    return [
        {"task": m["headers"]["task"], "kwargs": json.loads(base64.b64decode(m["body"]))[1]}
        for m in messages
    ]
