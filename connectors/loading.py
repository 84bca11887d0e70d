"""What every load into a warehouse has, whatever its dialect: the ledger's name, and the tables in
which a manifest's files are staged before they get into the target."""

from collections import defaultdict
from dataclasses import dataclass

import pyarrow as pa

from connectors.errors import LoadMismatch, Unsupported
from connectors.types import LoadMode, Manifest, StagedFile

LEDGER = "WAREHOUSE_LOADS"
"""The table, beside the targets, that has a row for each load that was committed."""
LOAD_TIMEOUT_S = 4 * 3600
"""How long one statement of a load, or one job, may take."""


@dataclass(frozen=True)
class Staging:
    """A temporary table for the files of one order.

    ``place``: of all tables with a key, the one with the greatest has what counts.
    """

    name: str
    place: int
    files: tuple[StagedFile, ...]
    schema: pa.Schema
    deletes: bool

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)


def stagings(manifest: Manifest, mode: LoadMode) -> tuple[Staging, ...]:
    """The staging tables of a load: one, or one for each order of rows and of deletes."""
    found: dict[tuple[int, bool], list[StagedFile]] = defaultdict(list)
    # False comes before True: of the same order, the row counts and not the delete.
    for file in manifest.deletes:
        found[file.order, False].append(file)
    for file in manifest.files:
        found[file.order, True].append(file)
    if not manifest.deletes and len(found) <= 1:
        name = _staging_name(manifest)
        return (Staging(name, 0, manifest.files, manifest.schema, deletes=False),)
    if mode is LoadMode.APPEND or not manifest.primary_key:
        raise Unsupported("Only rows with a key can be deleted, or come in several orders.")
    key = pa.schema([manifest.schema.field(name) for name in manifest.primary_key])
    return tuple(
        Staging(
            f"{_staging_name(manifest)}_{place}",
            place,
            tuple(found[order, rows]),
            manifest.schema if rows else key,
            deletes=not rows,
        )
        for place, (order, rows) in enumerate(sorted(found))
    )


def staging_of_keys(manifest: Manifest, mode: LoadMode) -> Staging | None:
    """The staging table of the keys that stay; ``None`` where they are not compared."""
    if manifest.keys is None:
        return None
    if mode is not LoadMode.MERGE or not manifest.primary_key:
        raise Unsupported("Only rows that are merged can be compared by key.")
    key = pa.schema([manifest.schema.field(name) for name in manifest.primary_key])
    return Staging(f"{_staging_name(manifest)}_keys", -1, manifest.keys, key, deletes=False)


def agree(rows: int, expected: int, what: str, where: str) -> None:
    """Raises LoadMismatch where the numbers differ."""
    if rows != expected:
        raise LoadMismatch(f"{rows:,} rows were {what} where {expected:,} are {where}.")


def _staging_name(manifest: Manifest) -> str:
    return f"WAREHOUSE_STAGING_{manifest.load_id.replace('-', '_')}"


def own_name(name: str, manifest: Manifest) -> str:
    """A column of ours, under a name that no column of the table has, in any case."""
    taken, name = {field.name.lower() for field in manifest.schema}, f"warehouse_{name}"
    while name in taken:
        name += "_"
    return name
