"""`/api/environments/<team_id>/queries/`: HogQL over all that a team has."""

from collections.abc import Iterator
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
from warehouse import query_executor
from warehouse.access import Role
from warehouse.federation.planner import Mode
from warehouse.hogql.errors import HogQLError


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


class PlanSerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField([mode.value for mode in Mode])
    legs = PlannedLegSerializer(many=True)


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
        return Response({"mode": found.mode.value, "legs": legs})


@contextmanager
def _told_of_the_query() -> Iterator[None]:
    """Here the text stands in another field than that of a connection's query."""
    try:
        yield
    except HogQLError as exc:
        exc.fields = {"query": exc.fields["sql"]}
        raise
