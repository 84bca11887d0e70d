"""Tables of a connection in the team's store: what can be done about one, whoever asks.

Each is moved by an ordinary pipeline without a destination, which is made and deleted here.
"""

from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery

from connectors import registry
from connectors.errors import InvalidInput
from etl import pipelines, source_tables
from etl.models import Pipeline, PipelineRun, PipelineTable, ReadMode, Trigger
from etl.pipelines import TableSpec
from warehouse import synced
from warehouse.models import SyncedTable, WarehouseConnection

READ = {
    ReadMode.FULL: "Every run reads all its rows, and puts them in place of those in the store.",
    ReadMode.CURSOR: "A run reads the rows whose {cursor} is new, and every {sweep} hours all that "
    "may have been written since. They take the place of those with the same key.",
    ReadMode.XID: "A run reads the rows that were written since the last one. They take the place "
    "of those with the same key.",
    ReadMode.CDC: "A run reads from the source's log what was inserted, updated and deleted.",
    ReadMode.APPEND: "A run reads the rows that were added since the last one, and adds them.",
}
DELETED = {
    ReadMode.FULL: "Rows that were deleted at the source leave with the next run.",
    ReadMode.CDC: "Rows that were deleted at the source leave with the next run.",
    ReadMode.APPEND: "Where rows were deleted or updated at the source, the next run reads all.",
}
STAYS = "Rows that were deleted at the source stay in the store."


@dataclass(frozen=True)
class Wish:
    """A table that somebody wants in the store, and how. No ``columns`` are all of them; no
    ``key_columns`` are the source's primary key."""

    schema: str
    table: str
    how: str = ReadMode.FULL
    cursor_column: str = ""
    key_columns: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    sweep_hours: int = 24
    schedule: str = ""
    stale_after_minutes: int | None = None


@dataclass(frozen=True)
class Explanation:
    """What will happen, in sentences, and what keeps it from happening, by field."""

    steps: list[str]
    faults: dict[str, str] = field(default_factory=dict)


def tables(connection: WarehouseConnection) -> QuerySet[PipelineTable]:
    """Those of the connection that are in sync, by schema and name.

    Each with the ``rows`` that the store has, and its ``last_run`` with ``last_status`` and
    ``last_error``; ``None`` before there is one.
    """
    runs = PipelineRun.objects.filter(pipeline=OuterRef("pipeline")).order_by("-created_at")
    stored = SyncedTable.objects.for_team(connection.team_id)
    same = stored.filter(store_table=OuterRef("destination_table"))
    of_store = Pipeline.objects.for_team(connection.team_id).filter(
        source=connection, destination=None
    )
    return (
        PipelineTable.objects.filter(pipeline__in=of_store)
        .select_related("pipeline")
        .annotate(
            rows=Subquery(same.values("rows")[:1]),
            last_run=Subquery(runs.values("pk")[:1]),
            last_status=Subquery(runs.values("status")[:1]),
            last_error=Subquery(runs.values("error")[:1]),
        )
        .order_by("source_schema", "source_table")
    )


def require_source(connection: WarehouseConnection, wish: Wish) -> None:
    """The warehouse has the table and the columns that are wished for: asks it, for metadata.

    Raises InvalidInput, and ConnectorError where it cannot be asked.
    """
    columns = {
        "cursor_column": [wish.cursor_column] if wish.cursor_column else [],
        "key_columns": wish.key_columns,
        "columns": wish.columns,
    }
    source_tables.require(connection, (wish.schema, wish.table), columns)


def put(connection: WarehouseConnection, user: Any, wish: Wish) -> PipelineTable:
    """Put a table into sync, and queue its first run. Raises InvalidInput."""
    if faults := _faults(connection, wish):
        raise InvalidInput("The table cannot be put into sync.", fields=faults)
    pipeline = _pipeline(connection, wish)
    pipeline.created_by = user
    with transaction.atomic():
        pipelines.create(pipeline, [_spec(wish)])
        pipelines.request_run(pipeline, Trigger.API)
    return tables(connection).get(pipeline=pipeline)


def take_out(table: PipelineTable) -> None:
    """Take a table out of sync: the store forgets it now, and drops it as soon as it can.

    What a run under way still loads goes too. Raises RunInProgress where the pipeline has other
    tables, and a run of them is open.
    """
    others = [
        spec
        for spec in pipelines.specs(table.pipeline)
        if (spec.source_schema, spec.source_table) != (table.source_schema, table.source_table)
    ]
    if others:
        pipelines.update(table.pipeline, {}, others)
    else:
        pipelines.delete(table.pipeline)


def explain(connection: WarehouseConnection, wish: Wish) -> Explanation:
    """What putting the table into sync would do; opens no connection, and changes nothing."""
    label = registry.provider(connection.provider).label
    how, when = ReadMode(wish.how), f", and then by {wish.schedule} (UTC)" if wish.schedule else ""
    chosen = {*wish.columns, *wish.key_columns} - {""} if wish.columns else set()
    steps = [
        f"{wish.schema}.{wish.table} is copied from {label} into the team's store: now{when}.",
        READ[how].format(cursor=wish.cursor_column or "cursor_column", sweep=wish.sweep_hours),
        DELETED.get(how, STAYS),
        f"Columns: {', '.join(sorted(chosen)) or 'all'}.",
        "Readers see the rows before a run or those after it, and nothing in between.",
        f"{label} runs, and may bill, a query for each run. Its table is not changed.",
    ]
    return Explanation(steps, _faults(connection, wish))


def explain_removal(table: PipelineTable) -> Explanation:
    """What taking the table out of sync would do."""
    stored = SyncedTable.all_teams.filter(store_table=table.destination_table).first()
    rows = f"{stored.rows:,} rows, as of {stored.as_of:%Y-%m-%d %H:%M} UTC" if stored else "no rows"
    return Explanation(
        [
            f"The store's copy of {table} is dropped: {rows}.",
            "Its schedule, its runs and its staged files are removed.",
            "The table in the warehouse is not changed; queries on it run there.",
        ]
    )


def _faults(connection: WarehouseConnection, wish: Wish) -> dict[str, str]:
    pipeline, specs = _pipeline(connection, wish), [_spec(wish)]
    there = tables(connection).filter(source_schema=wish.schema, source_table=wish.table).first()
    if there is not None:
        return {"table": f"It is in sync already; change it at pipelines/{there.pipeline_id}/."}
    found = pipelines.faults(pipeline)
    # A source that can be none has no modes either.
    return found if "source" in found else _named(found | pipelines.table_faults(pipeline, specs))


def _named(faults: dict[str, str]) -> dict[str, str]:
    """By the fields of a wish: the mode is all that can be wrong with one table."""
    return {"how" if name == "tables" else name: text for name, text in faults.items()}


def _pipeline(connection: WarehouseConnection, wish: Wish) -> Pipeline:
    # The end of the store's name, for two that begin alike.
    end = synced.name_of(connection.pk, wish.schema, wish.table)[-8:]
    return Pipeline(
        team_id=connection.team_id,
        name=f"sync {wish.schema}.{wish.table}"[:180] + f" {end}",
        source=connection,
        schedule=wish.schedule,
        stale_after_minutes=wish.stale_after_minutes,
    )


def _spec(wish: Wish) -> TableSpec:
    return TableSpec(
        source_schema=wish.schema,
        source_table=wish.table,
        mode=wish.how,
        cursor_column=wish.cursor_column,
        sweep_hours=wish.sweep_hours,
        columns=wish.columns,
        key_columns=wish.key_columns,
    )
