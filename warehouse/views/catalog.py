"""A team's views as its queries see them: a query in a table's place, or a table that is kept in
the store or in a warehouse."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.types import Kind, Type
from warehouse.models import View

Columns = tuple[tuple[str, Type], ...]


def catalog_tables(team: Any) -> list[CatalogTable]:
    """All of them, in no order."""
    # Few are kept in a warehouse: it is asked for apart, and every plan asks for views.
    found = View.objects.for_team(team).order_by().prefetch_related("target")
    return [_table(view) for view in found]


def dump(columns: Columns) -> list[dict[str, Any]]:
    """Columns as JSON has them."""
    return [{"name": name, **asdict(kind)} for name, kind in columns]


def load(columns: Sequence[dict[str, Any]]) -> Columns:
    """What ``dump`` was given."""
    return tuple((str(one["name"]), _type(one)) for one in columns)


def _table(view: View) -> CatalogTable:
    team, path, target = str(view.team_id), (view.name,), view.target
    if not view.store_table or (target is not None and not target.is_active):
        return CatalogTable(team, path, load(view.columns), view=view.query)
    found = CatalogTable(
        team,
        path,
        load(view.store_columns),
        stored_as=(view.store_table,),
        rows=view.rows,
        as_of=view.as_of,
    )
    if target is None:
        return found
    place = (view.target_schema, view.store_table)
    return replace(found, stored_as=place, source=str(target.pk))


def _type(given: dict[str, Any]) -> Type:
    item = given["item"]
    return Type(Kind(given["kind"]), item and _type(item), given["scale"], str(given["native"]))
