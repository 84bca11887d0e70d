"""`/api/environments/<team_id>/queries/`: HogQL over all that a team has."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from api import results
from api.access import StrictSerializer, TeamViewSet, valid
from api.connection import EstimateSerializer, shown
from api.result_shape import ResultSerializer
from connectors.sql_guard import MAX_SQL_CHARS
from etl import table_modes
from warehouse import query_executor
from warehouse.access import Role
from warehouse.federation.planner import Mode
from warehouse.federation.split import STORE
from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.errors import HogQLError
from warehouse.models import ConnectionMode, WarehouseConnection


class HogQLSerializer(StrictSerializer):
    query = serializers.CharField(
        max_length=MAX_SQL_CHARS, trim_whitespace=False, help_text="In HogQL."
    )
    values = serializers.DictField(default=dict, help_text="A value for each {name} of the query.")


class HogQLQuerySerializer(HogQLSerializer):
    max_rows = serializers.IntegerField(min_value=1, required=False)


class PlannedLegSerializer(serializers.Serializer[Any]):
    connection = serializers.CharField(allow_null=True, help_text="Its name; null is the store.")
    sql = serializers.CharField()
    estimate = EstimateSerializer(allow_null=True, help_text="null: the store bills nothing.")


class PlannedTableSerializer(serializers.Serializer[Any]):
    connection = serializers.CharField()
    schema = serializers.CharField()
    table = serializers.CharField()
    mode = serializers.ChoiceField(ConnectionMode.choices)
    in_store = serializers.BooleanField(help_text="Read there, and not in its warehouse.")
    as_of = serializers.DateTimeField(allow_null=True, help_text="Of its copy in the store.")


class PlanSerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField([mode.value for mode in Mode])
    legs = PlannedLegSerializer(many=True)
    tables = PlannedTableSerializer(many=True, help_text="Those of connections that it reads.")


class QueryViewSet(TeamViewSet):
    """Queries over the team's connections, and what it has in the store."""

    serializer_class = HogQLQuerySerializer
    pagination_class = None
    filter_backends = ()
    roles: ClassVar = {"create": Role.ANALYST, "plan": Role.ANALYST}

    @extend_schema(
        request=HogQLQuerySerializer,
        responses=OpenApiResponse(ResultSerializer, results.__doc__ or ""),
    )
    def create(self, request: Request, **_: Any) -> StreamingHttpResponse:
        """Run one query over events, persons, and tables of any connection; rows are streamed."""
        data = valid(HogQLQuerySerializer, request)
        with _told_of_the_query():
            run = query_executor.run_hogql(
                self.team, data["query"], data["values"], data.get("max_rows")
            )
            return results.stream(run, request.META)

    @extend_schema(request=HogQLSerializer, responses=PlanSerializer)
    @action(detail=False, methods=["post"])
    def plan(self, request: Request, **_: Any) -> Response:
        """Which systems a query would ask, what each would be sent, and its price."""
        data = valid(HogQLSerializer, request)
        with _told_of_the_query():
            found = query_executor.plan_hogql(self.team, data["query"], data["values"])
        legs = [
            {
                "connection": leg.connection.name if leg.connection else None,
                "sql": leg.sql,
                "estimate": shown(leg.estimate) if leg.estimate else None,
            }
            for leg in found.legs
        ]
        tables = _tables(self.team, found.tables)
        return Response({"mode": found.mode.value, "legs": legs, "tables": tables})


def _tables(team: Any, tables: Sequence[CatalogTable]) -> list[dict[str, Any]]:
    """As PlannedTableSerializer has them."""
    names = {table.path[0] for table in tables}
    used = WarehouseConnection.objects.for_team(team).filter(name__in=names)
    modes = {one.name: table_modes.of(one) for one in used}
    found = []
    for table in tables:
        connection, schema, name = table.path
        of_connection = modes[connection]
        found.append(
            {
                "connection": connection,
                "schema": schema,
                "table": name,
                "mode": of_connection.of((schema, name)),
                "in_store": table.source == STORE,
                "as_of": of_connection.as_of((schema, name)),
            }
        )
    return found


@contextmanager
def _told_of_the_query() -> Iterator[None]:
    """Here the text stands in another field than that of a connection's query."""
    try:
        yield
    except HogQLError as exc:
        exc.fields = {"query": exc.fields["sql"]}
        raise
