"""Source and target in a form in which they can be compared."""

from typing import Any

import psycopg

Vault = psycopg.Connection[Any]


def source_rows(vault: Vault) -> list[tuple[Any, ...]]:
    """Every row of the source as text that both ends can be compared in."""
    return vault.execute(
        "SELECT tenant, key, encode(payload, 'hex'), metadata->>'n', metadata->>'big', "
        "amount::text FROM records ORDER BY tenant, key"
    ).fetchall()


def target_rows(lake: Any, table: str) -> list[tuple[Any, ...]]:
    """Every row of the target in the same form."""
    rows = lake.cursor().execute(
        "SELECT TENANT, KEY, PAYLOAD, METADATA:n::VARCHAR, METADATA:big::VARCHAR, "
        f'AMOUNT::VARCHAR FROM "{table}" ORDER BY TENANT, KEY'
    )
    return [(tenant, key, payload.hex(), *rest) for tenant, key, payload, *rest in rows]
