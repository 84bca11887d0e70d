"""`/api/environments/<team_id>/queries/`: what a team asks, of all it has or of one warehouse."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from api import answer, results
from api.access import StrictSerializer, TeamViewSet, valid
from api.fields import ChoiceField
from api.filters import FiltersSerializer, filters_of
from api.naming import connection_named
from api.query_run import (
    LegSerializer,
    QueryRunFilters,
    QueryRunSerializer,
    RunEstimateSerializer,
    runs_of,
    shown_estimate,
)
from api.result_shape import ResultSerializer
from connectors.errors import ConnectorError
from connectors.sql_guard import MAX_SQL_CHARS
from etl import table_modes
from warehouse import accounts, background, kept, listing, query_executor
from warehouse.access import Role
from warehouse.accounts import Asked
from warehouse.federation.planner import Mode
from warehouse.federation.relations import STORE
from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.filters import NAME as FILTERS
from warehouse.models import QueryOutcome, QueryRun, WarehouseConnection
from warehouse.statements import Language, Statement

MAX_WAIT_S = 60


class HogQLSerializer(StrictSerializer):
    called: ClassVar = {"sql": "query"}
    query = serializers.CharField(
        max_length=MAX_SQL_CHARS, trim_whitespace=False, help_text="In HogQL."
    )
    values = serializers.DictField(default=dict, help_text="A value for each {name} of the query.")
    filters = FiltersSerializer(required=False, help_text="What {filters} stands for.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if FILTERS in attrs["values"]:
            raise ValidationError({f"values.{FILTERS}": "They stand beside values, in filters."})
        if "filters" in attrs:
            attrs["values"] = {**attrs["values"], FILTERS: filters_of(attrs["filters"]).as_json()}
        return attrs


class QueryRequestSerializer(HogQLSerializer):
    query = serializers.CharField(max_length=MAX_SQL_CHARS, trim_whitespace=False)
    dialect = ChoiceField(
        [language.value for language in Language],
        default=Language.HOGQL.value,
        help_text="native is the SQL of the connection's warehouse.",
    )
    connection = serializers.CharField(
        required=False, max_length=200, help_text="With native: its id or name."
    )
    params = serializers.JSONField(
        required=False, help_text="With native: a list, or an object of named values."
    )
    max_rows = serializers.IntegerField(min_value=1, required=False)
    wait_s = serializers.FloatField(
        min_value=0,
        max_value=MAX_WAIT_S,
        required=False,
        help_text="A worker runs the query and its rows are kept for an hour: the answer has them "
        "if they are there by then, and else says where they will be (202).",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["dialect"] == Language.NATIVE:
            if "connection" not in attrs:
                raise ValidationError({"connection": "Say which warehouse's SQL it is."})
            if attrs["values"]:
                raise ValidationError({"values": "Here it is params."})
            if "filters" in attrs:
                raise ValidationError({"filters": "They go with the dialect hogql."})
        elif unfit := attrs.keys() & {"connection", "params"}:
            raise ValidationError(dict.fromkeys(unfit, "This goes with the dialect native."))
        if not isinstance(attrs.get("params", []), list | dict):
            raise ValidationError({"params": "Give a list, or an object of named values."})
        return super().validate(attrs)


class PlannedTableSerializer(serializers.Serializer[Any]):
    connection = serializers.CharField(allow_null=True, help_text="null: a view in the store.")
    schema = serializers.CharField(allow_null=True, help_text="null: a view.")
    table = serializers.CharField()
    mode = serializers.CharField(
        help_text="sync, direct or hybrid; store: a view whose rows are kept there."
    )
    in_store = serializers.BooleanField(help_text="Read there, and not in its warehouse.")
    as_of = serializers.DateTimeField(
        allow_null=True, help_text="Of its copy in the store, or of the rows of a view."
    )


class PlanSerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField([mode.value for mode in Mode])
    reason = serializers.CharField(
        allow_null=True, help_text="Of a federated one: why no single system answers it."
    )
    estimate = RunEstimateSerializer(help_text="Of all legs together.")
    legs = LegSerializer(many=True)
    tables = PlannedTableSerializer(
        many=True, help_text="Those of connections that it reads, and views whose rows are kept."
    )
    joined_in = serializers.CharField(
        allow_null=True,
        help_text="The connection to which the rows of all others are sent; null: none is.",
    )


ROWS = OpenApiResponse(ResultSerializer, results.__doc__ or "")


class QueryViewSet(ListModelMixin, RetrieveModelMixin, TeamViewSet):
    """Queries over the team's connections, and what it has in the store."""

    queryset = QueryRun.objects.none()  # names the model; rows come by get_queryset
    serializer_class = QueryRunSerializer
    filterset_class = QueryRunFilters
    lookup_value_converter = "uuid"
    roles: ClassVar = {
        "list": Role.VIEWER,
        "retrieve": Role.VIEWER,
        "create": Role.ANALYST,
        "plan": Role.ANALYST,
        "result": Role.ANALYST,
        "cancel": Role.ANALYST,
    }

    def get_queryset(self) -> QuerySet[QueryRun]:
        found = runs_of(self.team)
        accounts.end_lost(QueryRun.objects.for_team(self.team))
        return found

    def get_renderers(self) -> list[Any]:
        if self.action == "create":
            return [renderer() for renderer in answer.RENDERERS]
        return super().get_renderers()

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "sees": self._sees}

    @extend_schema(request=QueryRequestSerializer, responses={200: ROWS, 202: QueryRunSerializer})
    def create(self, request: Request, **_: Any) -> HttpResponseBase:
        """Run one query over events, persons, views, and tables of any connection, or in one
        connection's own SQL. The rows are streamed."""
        data = valid(QueryRequestSerializer, request)
        with _told_of_the_query():
            if "wait_s" in data:
                return self._handed_over(request, data)
            return answer.streamed(self._run(request, data), request)

    @extend_schema(request=HogQLSerializer, responses=PlanSerializer)
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=())
    def plan(self, request: Request, **_: Any) -> Response:
        """Which systems a query would ask, what each would be sent, and its price."""
        data = valid(HogQLSerializer, request)
        with _told_of_the_query():
            found = query_executor.plan_hogql(self.team, data["query"], data["values"])
        tables = _tables(self.team, found.tables)
        return Response(
            {
                "mode": found.mode.value,
                "reason": found.reason,
                "estimate": shown_estimate(**accounts.estimated(found.legs)),
                "legs": [accounts.as_json(leg) for leg in found.legs],
                "tables": tables,
                "joined_in": found.joined_in.name if found.joined_in else None,
            }
        )

    @extend_schema(responses=ROWS)
    @action(detail=True, renderer_classes=answer.RENDERERS)
    def result(self, request: Request, **_: Any) -> StreamingHttpResponse:
        """The rows of a query that a worker has run, while they are kept."""
        return answer.streamed(kept.rows_of(self._own()), request)

    @extend_schema(request=None, responses={202: QueryRunSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_: Any) -> Response:
        """End a query with all its legs, wherever it runs; it takes a few seconds."""
        run = self._own()
        accounts.ask_to_end(run)
        run.refresh_from_db()
        return Response(self.get_serializer(run).data, status.HTTP_202_ACCEPTED)

    def _run(self, request: Request, data: dict[str, Any]) -> Any:
        if data["dialect"] == Language.NATIVE:
            statement = Statement(data["query"], data.get("params", ()))
            connection = connection_named(self.team, data["connection"])
            return query_executor.run(
                connection, statement, data.get("max_rows"), user=request.user
            )
        return query_executor.run_hogql(
            self.team, data["query"], data["values"], data.get("max_rows"), user=request.user
        )

    def _handed_over(self, request: Request, data: dict[str, Any]) -> HttpResponseBase:
        inputs = {
            "values": data["values"],
            "params": data.get("params", []),
            "max_rows": data.get("max_rows"),
        }
        waiting = background.hand_over(self._asked(request, data), inputs)
        run = background.await_end(waiting, data["wait_s"])
        if run.outcome != QueryOutcome.RUNNING:
            return answer.streamed(kept.rows_of(run), request)
        place = request.build_absolute_uri(f"{request.path}{run.pk}/")
        return Response(
            self.get_serializer(run).data,
            status.HTTP_202_ACCEPTED,
            content_type="application/json",
            headers={"Location": place, answer.RUN_HEADER: str(run.pk)},
        )

    def _asked(self, request: Request, data: dict[str, Any]) -> Asked:
        if data["dialect"] == Language.NATIVE:
            connection = connection_named(self.team, data["connection"])
            mode = Mode.PUSH_DOWN
            return Asked(
                self.team.pk, request.user, data["query"], Language.NATIVE, mode, connection
            )
        return query_executor.plan_waiting(self.team, data["query"], data["values"], request.user)

    def _own(self) -> QueryRun:
        """The run in the address, for whoever may see what was asked."""
        run: QueryRun = self.get_object()
        if not self._sees(run):
            raise PermissionDenied("Only whoever ran this query may do that, and admins.")
        return run

    def _sees(self, run: QueryRun) -> bool:
        return self.role >= Role.ADMIN or run.user_id == self.request.user.pk


def _tables(team: Any, tables: Sequence[CatalogTable]) -> list[dict[str, Any]]:
    """As PlannedTableSerializer has them."""
    connections = WarehouseConnection.objects.for_team(team)
    modes_of = cache(table_modes.of)
    found = []
    for table in tables:
        place = listing.place_of(table, connections)
        found.append(
            {
                "connection": place.connection.name if place else None,
                "schema": table.path[-2] if len(table.path) > 1 else None,
                "table": table.name,
                "mode": modes_of(place.connection).of(place.table) if place else listing.IN_STORE,
                "in_store": table.source == STORE,
                "as_of": table.as_of,
            }
        )
    return found


@contextmanager
def _told_of_the_query() -> Iterator[None]:
    """Here the text stands in another field than that of a connection's query."""
    try:
        yield
    except ConnectorError as exc:
        exc.fields = {"query" if name == "sql" else name: of for name, of in exc.fields.items()}
        raise
