"""The statements that bring staged rows into the target, to be committed with the ledger row.

The first of them takes the target's lock, which a second worker with the same rows waits for.
UPDATE, DELETE and MERGE take it and INSERT does not (Snowflake documentation, Transactions), which
is why ``append`` is a MERGE that matches nothing, and ``swap`` is DELETE and INSERT. A new table
made aside and swapped in would be data definition: committed by itself, whatever the ledger then
says, and without the grants, policies and streams of the old one.
"""

from collections.abc import Sequence

import pyarrow as pa

from connectors.checksums import is_json
from connectors.loading import Staging
from connectors.snowflake.sql import folded, keys, quoted
from connectors.types import LoadMode, LoadTarget, Manifest

PLACE = "WAREHOUSE_PLACE"
"""The column that tells which staging table a row is from."""


def writes(target: LoadTarget, manifest: Manifest, stagings: Sequence[Staging]) -> list[str]:
    """Statements of one transaction. The last answers with the rows inserted and updated."""
    if target.mode is LoadMode.APPEND:
        return [_append(target, manifest, stagings[0])]
    is_one = len(stagings) == 1 and not stagings[0].deletes
    if target.mode is LoadMode.SWAP:
        fill = _fill(target, manifest, stagings[0]) if is_one else None
        emptied = f"DELETE FROM {quoted(target.schema, target.table)}"
        return [emptied, fill or _merge_newest(target, manifest, stagings)]
    if is_one:
        return [_merge(target, manifest, _rows(target, stagings[0]), ())]
    return [_merge_newest(target, manifest, stagings)]


def rows_to_write(target: LoadTarget, manifest: Manifest, stagings: Sequence[Staging]) -> str:
    """Count what a merge has to insert and update: keys whose newest staged row is no delete."""
    key = ", ".join(keys(manifest.primary_key))
    parts = " UNION ALL ".join(
        f"SELECT {key}, {part.place} AS {PLACE} FROM {quoted(target.schema, part.name)}"
        for part in stagings
    )
    newest = f"SELECT MAX({PLACE}) AS {PLACE} FROM ({parts}) GROUP BY {key}"
    kept = ", ".join(str(part.place) for part in stagings if not part.deletes)
    return f"SELECT COUNT(*) FROM ({newest}) WHERE {PLACE} IN ({kept or 'NULL'})"


def rows_to_leave(target: LoadTarget, manifest: Manifest, kept: Staging) -> str:
    """Count the target's rows, and those of them whose key is not among those that stay."""
    key = keys(manifest.primary_key)
    return f"SELECT COUNT(*), COUNT(*) - COUNT(k.{key[0]}) FROM {_beside(target, key, kept)}"


def leave(target: LoadTarget, manifest: Manifest, kept: Staging) -> str:
    """Delete the rows whose key is not among those that stay."""
    key = keys(manifest.primary_key)
    columns = ", ".join(f"t.{name}" for name in key)
    gone = f"SELECT DISTINCT {columns} FROM {_beside(target, key, kept)} WHERE k.{key[0]} IS NULL"
    on = " AND ".join(f"t.{name} = s.{name}" for name in key)
    return (
        f"MERGE INTO {quoted(target.schema, target.table)} AS t USING ({gone}) AS s ON {on} "
        "WHEN MATCHED THEN DELETE"
    )


def _beside(target: LoadTarget, key: Sequence[str], kept: Staging) -> str:
    on = " AND ".join(f"k.{name} = t.{name}" for name in key)
    return (
        f"{quoted(target.schema, target.table)} AS t "
        f"LEFT JOIN {quoted(target.schema, kept.name)} AS k ON {on}"
    )


def _append(target: LoadTarget, manifest: Manifest, staging: Staging) -> str:
    names = _names(manifest.schema)
    return (
        f"MERGE INTO {quoted(target.schema, target.table)} AS t "
        f"USING ({_rows(target, staging)}) AS s ON FALSE {_insert(names)}"
    )


def _fill(target: LoadTarget, manifest: Manifest, staging: Staging) -> str:
    columns = ", ".join(_names(manifest.schema))
    name = quoted(target.schema, target.table)
    return f"INSERT INTO {name} ({columns}) {_rows(target, staging)}"


def _merge(target: LoadTarget, manifest: Manifest, source: str, deletes: Sequence[int]) -> str:
    """MERGE by primary key of a source that has each key once."""
    names, key = _names(manifest.schema), keys(manifest.primary_key)
    on = " AND ".join(f"t.{name} = s.{name}" for name in key)
    # Of a table that is all key, too: a row that is there already has to count as written.
    updated = [name for name in names if name not in key] or key
    updates = ", ".join(f"{name} = s.{name}" for name in updated)
    deleted = f"s.{_place(manifest)} IN ({', '.join(map(str, deletes))})"
    return (
        f"MERGE INTO {quoted(target.schema, target.table)} AS t USING ({source}) AS s ON {on} "
        + (f"WHEN MATCHED AND {deleted} THEN DELETE " if deletes else "")
        + f"WHEN MATCHED THEN UPDATE SET {updates} "
        + _insert(names, f" AND NOT {deleted}" if deletes else "")
    )


def _merge_newest(target: LoadTarget, manifest: Manifest, stagings: Sequence[Staging]) -> str:
    """MERGE of each key's newest row. A key twice in its newest staging table stays twice, which
    the count of the rows written then shows."""
    place, key = _place(manifest), ", ".join(keys(manifest.primary_key))
    parts = " UNION ALL ".join(_placed(target, manifest, part) for part in stagings)
    source = (
        f"SELECT {_values(manifest.schema)}, {place} FROM (SELECT * FROM ({parts}) "
        f"QUALIFY RANK() OVER (PARTITION BY {key} ORDER BY {place} DESC) = 1)"
    )
    return _merge(target, manifest, source, [part.place for part in stagings if part.deletes])


def _placed(target: LoadTarget, manifest: Manifest, staging: Staging) -> str:
    """The rows of a staging table with all columns, whether it has them or not, and its place."""
    there = set(staging.schema.names)
    columns = ", ".join(
        (name if field.name in there else f"NULL AS {name}")
        for name, field in zip(_names(manifest.schema), manifest.schema, strict=True)
    )
    return (
        f"SELECT {columns}, {staging.place} AS {_place(manifest)} "
        f"FROM {quoted(target.schema, staging.name)}"
    )


def _rows(target: LoadTarget, staging: Staging) -> str:
    return f"SELECT {_values(staging.schema)} FROM {quoted(target.schema, staging.name)}"


def _insert(names: Sequence[str], condition: str = "") -> str:
    return (
        f"WHEN NOT MATCHED{condition} THEN INSERT ({', '.join(names)}) "
        f"VALUES ({', '.join('s.' + name for name in names)})"
    )


def _names(schema: pa.Schema) -> list[str]:
    return [quoted(folded(field.name)) for field in schema]


def _values(schema: pa.Schema) -> str:
    return ", ".join(
        f"PARSE_JSON({name}) AS {name}" if is_json(field) else name
        for name, field in zip(_names(schema), schema, strict=True)
    )


def _place(manifest: Manifest) -> str:
    """PLACE, under a name that no column of the table has."""
    taken = {folded(field.name).upper() for field in manifest.schema}
    name = PLACE
    while name in taken:
        name += "_"
    return quoted(name)
