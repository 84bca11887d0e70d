"""The tables of events and persons in a team's database, made when they are first needed.

A row takes the place of an earlier one of the same key: readers have ``final = 1``
(``store/limits.py``), so they see one of each, merged or not. A table that the operator maps
is the host's own; a view in the team's database shows the team's rows of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from connectors.errors import ObjectNotFound
from warehouse import conf
from warehouse.errors import TableMapped
from warehouse.hogql import types
from warehouse.hogql.catalog import CatalogTable, Link
from warehouse.hogql.types import Type
from warehouse.store import client, ddl, names
from warehouse.store.names import quote

Given = TypeVar("Given")


@dataclass(frozen=True)
class Kept:
    """A table of every team's database; ``mapped`` is the host's in its place, or nothing."""

    name: str
    key: str
    version: str
    columns: Sequence[tuple[str, str, Type]]
    """Name, ClickHouse's type, and what it is in HogQL."""
    mapped: Callable[[], str]

    @property
    def stored_as(self) -> str:
        """Its name in the team's database; of another table of the host it is another."""
        return self.mapped() or self.name

    def refuse_mapped(self) -> None:
        """Raises TableMapped where rows would go into the host's own table."""
        if self.mapped():
            raise TableMapped(f"{self.name} is the table {self.mapped()} of the host project.")


_MOMENT = "DateTime64(6, 'UTC')"
# One column of text, which keeps every digit: 1,000,000 events with 9 properties each went in
# within 3 s, into ClickHouse's JSON type within 138 s (which then finds a property 5 times faster).
_DOCUMENT = "String CODEC(ZSTD(3))"

EVENTS = Kept(
    "events",
    "uuid",
    "created_at",
    (
        ("uuid", "UUID", types.STRING),
        ("event", "LowCardinality(String)", types.STRING),
        ("timestamp", _MOMENT, types.TIMESTAMP),
        ("distinct_id", "String", types.STRING),
        ("properties", _DOCUMENT, types.JSON),
        ("created_at", _MOMENT, types.TIMESTAMP),
    ),
    conf.events_table,
)
PERSONS = Kept(
    "persons",
    "id",
    "version",
    (
        ("id", "UUID", types.STRING),
        ("properties", _DOCUMENT, types.JSON),
        ("created_at", _MOMENT, types.TIMESTAMP),
        ("version", "UInt64", types.INT),
    ),
    conf.persons_table,
)
PERSON_IDS = Kept(
    "person_distinct_ids",
    "distinct_id",
    "version",
    (
        ("distinct_id", "String", types.STRING),
        ("person_id", "UUID", types.STRING),
        ("version", "UInt64", types.INT),
    ),
    conf.person_ids_table,
)
TABLES = (EVENTS, PERSONS, PERSON_IDS)


def create(team_id: object) -> None:
    """The team's database and tables; those that are there stay as they are."""
    database, owner = client.create_database(team_id), client.owner()
    for table in TABLES:
        if table.mapped():
            owner.command(_view(database, table, team_id))
        else:
            owner.command(_table(database, table))


def with_tables(team_id: object, act: Callable[[], Given]) -> Given:
    """What ``act`` gives; if the tables turn out to be missing, they are made first."""
    try:
        return act()
    except ObjectNotFound:
        create(team_id)
        return act()


def catalog_tables(team_id: Any) -> list[CatalogTable]:
    """The tables as queries see them, with the way from an event to its person."""
    persons = _seen(PERSONS, team_id)
    ids = _seen(PERSON_IDS, team_id, links={"person": Link(persons, (("person_id", "id"),))})
    events = _seen(
        EVENTS,
        team_id,
        links={"pdi": Link(ids, (("distinct_id", "distinct_id"),))},
        shortcuts={"person": ("pdi", "person"), "person_id": ("pdi", "person_id")},
    )
    return [events, persons, ids]


def _seen(table: Kept, team_id: object, **ways: Any) -> CatalogTable:
    columns = tuple((name, kind) for name, _, kind in table.columns)
    stored_as = (table.stored_as,) if table.mapped() else ()
    uuids = frozenset(name for name, native, _ in table.columns if native == "UUID")
    return CatalogTable(
        str(team_id), (table.name,), columns, as_text=uuids, stored_as=stored_as, **ways
    )


def _table(database: str, table: Kept) -> str:
    columns = [(name, kind) for name, kind, _ in table.columns]
    engine = f"ReplacingMergeTree({quote(table.version)})"
    return ddl.create_table(
        database, table.name, columns, [table.key], engine=engine, if_missing=True
    )


def _view(database: str, table: Kept, team_id: object) -> str:
    """The team's rows of a table that its reader has no right to."""
    columns = ", ".join(quote(name) for name, _, _ in table.columns)
    source = ".".join(map(quote, table.mapped().split(".")))
    return (
        f"CREATE VIEW IF NOT EXISTS {quote(database)}.{quote(table.stored_as)}{ddl.on_cluster()} "
        f"DEFINER = CURRENT_USER SQL SECURITY DEFINER AS SELECT {columns} FROM {source} "
        f"WHERE team_id = {names.literal(str(team_id))} SETTINGS final = 1"
    )
