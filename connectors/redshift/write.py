"""The statements that bring staged rows into the target, to be committed with the ledger row.

UPDATE and INSERT, because Redshift's MERGE has one action for all matched rows, and says neither
how many it has updated nor that a key was there twice. DELETE and not TRUNCATE, which commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from connectors.loading import Staging, own_name
from connectors.redshift.sql import matching, quoted, staged_type, value
from connectors.types import LoadMode, LoadTarget, Manifest


@dataclass(frozen=True)
class Source:
    """The temporary table that the target's rows come from. ``place``, where it has one, tells
    the staging table that a row was in; those in ``deletes`` are of keys that leave."""

    name: str
    place: str = ""
    deletes: tuple[int, ...] = ()

    def rows(self, source: str) -> str:
        """The condition that a row of it is no delete."""
        return f"{source}.{self.place} NOT IN {self._places}" if self.deletes else "TRUE"

    def gone(self, source: str) -> str:
        """The condition that it is one."""
        return f"{source}.{self.place} IN {self._places}"

    @property
    def _places(self) -> str:
        return f"({', '.join(map(str, self.deletes))})"


def source(manifest: Manifest, stagings: Sequence[Staging]) -> tuple[Source, str | None]:
    """Where the rows come from: the only staging table, or one of each key's newest row, and the
    statement that makes that."""
    first = stagings[0]
    if len(stagings) == 1 and not first.deletes:
        return Source(first.name), None
    place, rank = (quoted(own_name(name, manifest)) for name in ("place", "rank"))
    key = ", ".join(map(quoted, manifest.primary_key))
    parts = " UNION ALL ".join(_placed(manifest, part, place) for part in stagings)
    ranked = f"RANK() OVER (PARTITION BY {key} ORDER BY {place} DESC) AS {rank}"
    columns = ", ".join(map(quoted, manifest.schema.names))
    name = f"{first.name}_newest"
    made = (
        f"CREATE TEMPORARY TABLE {quoted(name)} AS SELECT {columns}, {place} "
        f"FROM (SELECT parts.*, {ranked} FROM ({parts}) AS parts) AS ranked WHERE {rank} = 1"
    )
    return Source(name, place, tuple(part.place for part in stagings if part.deletes)), made


def keys_to_write(manifest: Manifest, rows: Source) -> str:
    """Count the keys that are to be written, and their rows: as many, unless one comes twice."""
    key = ", ".join(f"s.{quoted(name)}" for name in manifest.primary_key)
    of_keys = (
        f"SELECT COUNT(*) AS n FROM {quoted(rows.name)} AS s WHERE {rows.rows('s')} GROUP BY {key}"
    )
    return f"SELECT COUNT(*), COALESCE(SUM(n), 0)::BIGINT FROM ({of_keys}) AS k"


def writes(
    target: LoadTarget, manifest: Manifest, columns: Sequence[pa.Field], rows: Source
) -> list[tuple[str, bool]]:
    """Statements of one transaction, and whether the rows each has touched count as written."""
    into = quoted(target.schema, target.table)
    if target.mode is LoadMode.APPEND:
        return [(_insert(into, columns, rows), True)]
    if target.mode is LoadMode.SWAP:
        return [(f"DELETE FROM {into}", False), (_insert(into, columns, rows), True)]
    key = [manifest.schema.field(name) for name in manifest.primary_key]
    gone = f"DELETE FROM {into} USING {quoted(rows.name)} AS s WHERE {matching(key, into, 's')}"
    return [
        *([(f"{gone} AND {rows.gone('s')}", False)] if rows.deletes else []),
        (_update(into, columns, key, rows), True),
        (_insert(into, columns, rows, key), True),
    ]


def _update(into: str, columns: Sequence[pa.Field], key: Sequence[pa.Field], rows: Source) -> str:
    # Of a table that is all key, too: a row that is there already has to count as written.
    updated = [field for field in columns if field not in key] or key
    changes = ", ".join(f"{quoted(field.name)} = {value(field, 's')}" for field in updated)
    return (
        f"UPDATE {into} SET {changes} FROM {quoted(rows.name)} AS s "
        f"WHERE {matching(key, into, 's')} AND {rows.rows('s')}"
    )


def _insert(
    into: str, columns: Sequence[pa.Field], rows: Source, key: Sequence[pa.Field] = ()
) -> str:
    """All rows, or with a key those that the target does not have."""
    names = ", ".join(quoted(field.name) for field in columns)
    values = ", ".join(value(field, "s") for field in columns)
    new = f" LEFT JOIN {into} AS t ON {matching(key, 't', 's')}" if key else ""
    missing = f" AND t.{quoted(key[0].name)} IS NULL" if key else ""
    return (
        f"INSERT INTO {into} ({names}) SELECT {values} FROM {quoted(rows.name)} AS s{new} "
        f"WHERE {rows.rows('s')}{missing}"
    )


def _placed(manifest: Manifest, staging: Staging, place: str) -> str:
    """The rows of a staging table with all columns, whether it has them or not, and its place."""
    there = set(staging.schema.names)
    columns = ", ".join(
        quoted(field.name)
        if field.name in there
        else f"CAST(NULL AS {staged_type(field)}) AS {quoted(field.name)}"
        for field in manifest.schema
    )
    return f"SELECT {columns}, {staging.place} AS {place} FROM {quoted(staging.name)}"
