"""The statements of a load: pure functions."""

from collections.abc import Sequence

from warehouse.store import ddl
from warehouse.store.names import quote

Table = tuple[str, str]
"""Database and name."""

VERSION = """
SELECT toString(uuid) AS uuid, comment FROM system.tables
WHERE database = {database:String} AND name = {name:String}
"""
NAMES = """
SELECT name FROM system.tables
WHERE database = {database:String} AND startsWith(name, {prefix:String})
"""


def path(table: Table) -> str:
    return ".".join(map(quote, table))


def listed(names: Sequence[str]) -> str:
    return ", ".join(map(quote, names))


def drop(table: Table) -> str:
    # Whoever reads it has its files to the end.
    return f"DROP TABLE IF EXISTS {path(table)}{ddl.on_cluster()}"


def exchange(aside: Table, table: Table) -> str:
    return f"EXCHANGE TABLES {path(aside)} AND {path(table)}{ddl.on_cluster()}"


def rename(aside: Table, table: Table) -> str:
    return f"RENAME TABLE {path(aside)} TO {path(table)}{ddl.on_cluster()}"


def count(table: Table, where: str = "") -> str:
    return f"SELECT count() AS n FROM {path(table)}{_where(where)}"


def twice(table: Table, key: Sequence[str]) -> str:
    """Keys that more than one row has, one of them at most."""
    return (
        f"SELECT count() AS n FROM (SELECT 1 FROM {path(table)} GROUP BY {listed(key)} "
        "HAVING count() > 1 LIMIT 1)"
    )


def keys(tables: Sequence[Table], key: Sequence[str]) -> str:
    """The keys of all these tables."""
    return " UNION ALL ".join(f"SELECT {listed(key)} FROM {path(table)}" for table in tables)


def without(key: Sequence[str], keys: str) -> str:
    """The condition of rows whose key is not among those; empty where there are none."""
    return f"({listed(key)}) NOT IN ({keys})" if keys else ""


def within(key: Sequence[str], keys: str) -> str:
    return f"({listed(key)}) IN ({keys})"


def copy(source: Table, into: Table, names: Sequence[str], where: str = "") -> str:
    """Rows of one table into another, by the names of columns that both have."""
    return (
        f"INSERT INTO {path(into)} ({listed(names)}) "
        f"SELECT {listed(names)} FROM {path(source)}{_where(where)}"
    )


def copy_beside(
    source: Table,
    into: Table,
    names: Sequence[str],
    where: str,
    there: Table,
    kept: Sequence[str],
    key: Sequence[str],
) -> str:
    """The same, with the columns ``kept`` of the row ``there`` that has the same key."""
    same = " AND ".join(f"n.{quote(name)} = t.{quote(name)}" for name in key)
    chosen = [f"n.{quote(name)}" for name in names] + [f"t.{quote(name)}" for name in kept]
    return (
        f"INSERT INTO {path(into)} ({listed([*names, *kept])}) SELECT {', '.join(chosen)} "
        f"FROM (SELECT * FROM {path(source)}{_where(where)}) AS n "
        f"LEFT ANY JOIN (SELECT {listed([*key, *kept])} FROM {path(there)}) AS t ON {same}"
    )


def link(source: Table, into: Table) -> str:
    """All rows of a table into one of the same columns and key, by links to its files."""
    return (
        f"ALTER TABLE {path(into)}{ddl.on_cluster()} ATTACH PARTITION tuple() FROM {path(source)}"
    )


def leave(table: Table, where: str) -> str:
    return f"ALTER TABLE {path(table)}{ddl.on_cluster()} DELETE WHERE {where}"


def _where(condition: str) -> str:
    return f" WHERE {condition}" if condition else ""
