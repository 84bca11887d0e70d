"""Writers that make life hard for whoever copies their table."""

import os
import random
import threading
from typing import Any

import psycopg

LATE_COMMITS_S = "LATE_COMMITS_S"
"""How long they write, in seconds; longer than a test should take: 60."""
STATEMENTS = 6

UPSERT = {"insert": 6, "update": 4}
CHANGE = {**UPSERT, "move": 2, "delete": 3}
ADD = {"add": 1}
"""What writers do, and how often: nothing that is not seen without a log; anything; only what a
table without a key is for that grows."""


INSERT = (
    "INSERT INTO records VALUES (%s, %s, decode(md5((random() * 5)::int::text), 'hex'), "
    "jsonb_build_object('n', 1, 'big', 12345678901234567890), random() * 1000, "
    "now() - random() * interval '400 days')"
)


def seconds() -> float:
    return float(os.environ.get(LATE_COMMITS_S, "8"))


def write(dsn: str, number: int, over: threading.Event, habits: dict[str, int]) -> None:
    """Transactions of some statements with pauses in between, some of them rolled back in part or
    as a whole, with dates that lie in the past. A writer has keys of its own."""
    chance = random.Random(number)
    with psycopg.connect(dsn) as connection:
        while not over.is_set():
            for _ in range(chance.randrange(1, STATEMENTS)):
                _statement(connection, chance, number, habits)
                over.wait(chance.random() * 0.4)
            if chance.random() < 0.2:
                connection.rollback()
            else:
                connection.commit()


def _statement(
    connection: "psycopg.Connection[Any]",
    chance: random.Random,
    number: int,
    habits: dict[str, int],
) -> None:
    tenant, key = f"w{number}", str(chance.randrange(200))
    if chance.random() < 0.3:
        connection.execute("SAVEPOINT part")
    match chance.choices(list(habits), list(habits.values()))[0]:
        case "add":
            # Some rows are the same as others.
            connection.execute(INSERT.replace("random() * 1000", "0"), [tenant, key])
        case "insert":
            connection.execute(
                f"{INSERT} ON CONFLICT (tenant, key) DO UPDATE SET amount = excluded.amount",
                [tenant, key],
            )
        case "update":
            connection.execute(
                "UPDATE records SET amount = random() * 1000, "
                "updated_at = now() - random() * interval '400 days' "
                "WHERE tenant = %s AND key > %s",
                [tenant, key],
            )
        case "move":
            connection.execute(
                "UPDATE records SET key = 'm' || key WHERE tenant = %s AND key = %s "
                "AND NOT EXISTS (SELECT FROM records AS r "
                "WHERE r.tenant = %s AND r.key = 'm' || %s)",
                [tenant, key, tenant, key],
            )
        case _:
            connection.execute("DELETE FROM records WHERE tenant = %s AND key < %s", [tenant, key])
    if connection.info.transaction_status and chance.random() < 0.1:
        connection.execute("SAVEPOINT part")
        connection.execute("DELETE FROM records WHERE tenant = %s", [tenant])
        connection.execute("ROLLBACK TO SAVEPOINT part")
