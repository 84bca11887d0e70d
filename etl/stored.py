"""Tables of a team's store that pipelines and views fill: the catalog is told of what pipelines
have loaded, and the others go."""

from typing import Any

import structlog

from connectors.abilities import BulkLoad
from connectors.types import LoadTarget
from etl.models import PipelineTable, TableRun
from warehouse import synced
from warehouse.hybrid import cache
from warehouse.models import View, team_model
from warehouse.store import names
from warehouse.store.load.loader import StoreLoad
from warehouse.views.inputs import Input

log = structlog.get_logger(__name__)


def kept(team_id: Any) -> set[str]:
    """The names of tables that pipelines fill, loaded yet or not."""
    of_store = PipelineTable.objects.filter(pipeline__team=team_id, pipeline__destination=None)
    return set(of_store.values_list("destination_table", flat=True))


def publish(table: TableRun, destination: BulkLoad, target: LoadTarget) -> None:
    """Tell the team's catalog what the store has since the load, and have answers forgotten that
    were kept of the table before it."""
    source, pipeline = table.table, table.table.pipeline
    if pipeline.destination is not None:
        cache.invalidate(pipeline.team, pipeline.destination, [source.destination_table])
    elif isinstance(destination, StoreLoad) and table.as_of is not None:
        columns, rows = destination.version(target).schema, table.rows_in_target or 0
        where = (pipeline.source, source.source_schema, source.source_table)
        synced.publish(*where, columns, rows, table.as_of)
        _tell_views(source)


def _tell_views(source: PipelineTable) -> None:
    from etl import views

    pipeline = source.pipeline
    given = Input(source.source_table, source.source_schema, str(pipeline.source_id))
    views.loaded(pipeline.team_id, given)


def tidy(team_id: Any) -> None:
    """Drop what no pipeline and no view fills, with all that loads have left beside it.

    Harmless when repeated. Raises ConnectorError.
    """
    # By the id as the model has it: of a text, the name of the database would be another.
    team = team_model()._default_manager.filter(pk=team_id).first()
    if team is None:
        return
    store = StoreLoad(team.pk)
    # The tables first: whoever makes one has saved its pipeline before.
    for name in store.tables(synced.PREFIX):
        if name not in kept(team.pk):
            store.drop(name)
            log.info("store.table_dropped", team=str(team_id), table=name)
    for name in store.tables(names.VIEWS) - _of_views(team):
        store.drop(name)
        log.info("store.table_dropped", team=str(team_id), table=name)


def _of_views(team: Any) -> set[str]:
    kept = View.objects.for_team(team).filter(is_materialized=True, target=None)
    return {names.view_table(view.pk) for view in kept}
