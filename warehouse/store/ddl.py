"""Statements of our own that differ between one server and a cluster.

CLICKHOUSE_CLUSTER names a cluster of the server's configuration: then databases are made on each of
its hosts, and tables are replicated. That has never been tried: no server can be installed here.
"""

from collections.abc import Sequence

from warehouse import conf
from warehouse.store.names import literal, quote

_FORGETFUL = "replicated_deduplication_window = 0, "
"""Left to itself a replicated table drops an insert whose rows equal those of an earlier one, be it
meant or not. It also remembers inserts that a crash has undone, and then drops their repetition."""


def create_database(name: str) -> str:
    return f"CREATE DATABASE IF NOT EXISTS {quote(name)}{on_cluster()}"


def drop_database(name: str) -> str:
    # SYNC: files are gone, and the name is free, when it returns.
    return f"DROP DATABASE IF EXISTS {quote(name)}{on_cluster()} SYNC"


def kill_query() -> str:
    return f"KILL QUERY{on_cluster()} WHERE query_id = {{query_id:String}} ASYNC"


def create_table(
    database: str,
    table: str,
    columns: Sequence[tuple[str, str]],
    order_by: Sequence[str],
    *,
    engine: str = "MergeTree",
    if_missing: bool = False,
    comment: str = "",
) -> str:
    """A table of a team; ``columns`` are names and ClickHouse's types, the latter our own text.

    ``engine`` is one of the MergeTree family, with its arguments.
    """
    defined = ", ".join(f"{quote(name)} {kind}" for name, kind in columns)
    key = ", ".join(map(quote, order_by))
    replicated = bool(conf.clickhouse_cluster())
    return (
        f"CREATE TABLE {'IF NOT EXISTS ' if if_missing else ''}"
        f"{quote(database)}.{quote(table)}{on_cluster()} ({defined}) "
        f"ENGINE = {'Replicated' if replicated else ''}{engine} ORDER BY ({key}) "
        # As the embedded engine has it for all tables: acknowledged means on disk.
        f"SETTINGS {_FORGETFUL if replicated else ''}fsync_after_insert = 1, "
        "fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"
        + (f" COMMENT {literal(comment)}" if comment else "")
    )


def create_scratch(database: str, table: str, columns: Sequence[tuple[str, str]]) -> str:
    """A table that only one query reads, and that goes with it: on one host, and never synced."""
    defined = ", ".join(f"{quote(name)} {kind}" for name, kind in columns)
    return (
        f"CREATE TABLE {quote(database)}.{quote(table)} ({defined}) "
        "ENGINE = MergeTree ORDER BY tuple() "
        # Nobody looks for it after a crash.
        "SETTINGS fsync_after_insert = 0, fsync_part_directory = 0, "
        "min_rows_to_fsync_after_merge = 0"
    )


def drop_table(database: str, table: str) -> str:
    # Not SYNC, which waits for all who read it.
    return f"DROP TABLE IF EXISTS {quote(database)}.{quote(table)}{on_cluster()}"


def on_cluster() -> str:
    """The clause that makes a statement of DDL reach every host."""
    cluster = conf.clickhouse_cluster()
    return f" ON CLUSTER {quote(cluster)}" if cluster else ""
