"""What can be done to the joins that a team declares: the rules, whoever asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from connectors.errors import InvalidInput
from warehouse.errors import NameTaken
from warehouse.federation import planner
from warehouse.hogql.catalog import Catalog, CatalogTable, column_of
from warehouse.hogql.types import Kind, Type
from warehouse.listing import parts_of
from warehouse.models import TableJoin

NO_KEYS = (Kind.ARRAY, Kind.JSON)


@dataclass(frozen=True)
class Draft:
    """A join as somebody wants it; names are as in a query, with quotation marks or without, in any
    case."""

    table: str
    field: str
    joined_table: str
    keys: Sequence[tuple[str, str]]


def create(team: Any, user: Any, draft: Draft) -> TableJoin:
    """Declare it. Raises InvalidInput, NameTaken, and ConnectorError where the tables of a
    connection cannot be read."""
    return _saved(TableJoin(team=team, created_by=user), draft)


def update(join: TableJoin, draft: Draft) -> TableJoin:
    """Declare it anew; raises as ``create`` does."""
    return _saved(join, draft)


def _saved(join: TableJoin, draft: Draft) -> TableJoin:
    chains = [parts_of(draft.table), parts_of(draft.joined_table)]
    catalog = planner.catalog_naming(join.team, chains)
    here = _table(catalog, draft.table, "table")
    there = _table(catalog, draft.joined_table, "joined_table")
    _refuse_other_meaning(here, draft.field)
    join.table, join.joined_table, join.field = str(here), str(there), draft.field
    join.keys = [_pair(here, there, pair, f"keys.{place}") for place, pair in enumerate(draft.keys)]
    try:
        with transaction.atomic():
            join.save()
    except IntegrityError as exc:
        if "a_join_of_a_table" not in str(exc):
            raise
        raise NameTaken(fields={"field": f"{here} has a join of that name."}) from None
    return join


def _table(catalog: Catalog, name: str, field: str) -> CatalogTable:
    chain = parts_of(name)
    found = catalog.find(chain)
    if not found:
        near = catalog.nearest(chain)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise _wrong(field, f"There is no table {name}.{hint}")
    if len(found) > 1:
        raise _wrong(field, f"{name} may be {found[0]} or {found[1]}.")
    if found[0].view is not None:
        raise _wrong(field, f"{name} is a view, and is not joined by name.")
    if any("." in part for part in found[0].path):
        raise _wrong(field, "A table with a point in its name is not joined.")
    return found[0]


def _refuse_other_meaning(table: CatalogTable, field: str) -> None:
    taken = {*dict(table.columns), *table.links, *table.shortcuts}
    if field.casefold() in {name.casefold() for name in taken}:
        raise _wrong("field", f"{field} means something else in {table}.")


def _pair(
    here: CatalogTable, there: CatalogTable, pair: tuple[str, str], field: str
) -> tuple[str, str]:
    """The columns as the tables name them."""
    (own, kind), (other, their_kind) = _column(here, pair[0], field), _column(there, pair[1], field)
    if not _are_comparable(kind, their_kind):
        raise _wrong(
            field,
            f"{own} is {kind}, {other} is {their_kind}: they are not compared with each other.",
        )
    return own, other


def _column(table: CatalogTable, name: str, field: str) -> tuple[str, Type]:
    found = column_of(dict(table.columns), name)
    if found is None:
        raise _wrong(field, f"{table} has no column {name}.")
    return found


def _are_comparable(a: Type, b: Type) -> bool:
    if a.kind in NO_KEYS:
        return False
    same = a.kind == b.kind and a.native == b.native
    return same or (a.is_number and b.is_number)


def _wrong(field: str, what: str) -> InvalidInput:
    return InvalidInput("The join cannot be declared.", fields={field: what})
