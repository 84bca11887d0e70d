"""`/api/environments/<team_id>/warehouse_connections/`."""

from contextlib import closing
from dataclasses import asdict
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from api import answer, results
from api.access import StrictSerializer, TeamViewSet, valid
from api.explanation import ExplanationSerializer
from api.fields import ChoiceField
from api.hangup import HangupWatch
from api.result_shape import ResultSerializer
from api.tables import TablesSerializer, WantedTablesSerializer, page
from connectors.sql_guard import MAX_SQL_CHARS
from etl import table_modes
from warehouse import accounts, connection_test, connections, query_executor
from warehouse.access import Role
from warehouse.connection_test import ConnectionTest
from warehouse.connections import Draft
from warehouse.hybrid import cache
from warehouse.models import ConnectionMode, WarehouseConnection
from warehouse.statements import Language, Statement

CREDENTIALS_HELP = "Fields of the provider. Written, never returned."


class ConnectionSerializer(serializers.ModelSerializer[WarehouseConnection]):
    """A connection as it is shown: without anything of its credentials."""

    created_by = serializers.StringRelatedField[Any]()

    class Meta:
        model = WarehouseConnection
        fields = (
            "id",
            "name",
            "provider",
            "mode",
            "target",
            "config",
            "is_active",
            "is_default",
            "created_by",
            "created_at",
            "updated_at",
            "last_tested_at",
            "last_test_status",
            "last_test_error",
        )
        read_only_fields = fields


class UnsavedConnectionSerializer(StrictSerializer):
    provider = serializers.CharField(max_length=50)
    credentials = serializers.DictField(write_only=True, help_text=CREDENTIALS_HELP)


class NewConnectionSerializer(UnsavedConnectionSerializer):
    name = serializers.CharField(max_length=200)
    mode = ChoiceField(ConnectionMode.choices, default=ConnectionMode.DIRECT)
    config = serializers.DictField(default=dict)


class ConnectionChangesSerializer(StrictSerializer):
    name = serializers.CharField(max_length=200, required=False)
    mode = ChoiceField(ConnectionMode.choices, required=False)
    config = serializers.DictField(required=False)
    is_active = serializers.BooleanField(required=False)
    is_default = serializers.BooleanField(
        required=False,
        help_text="Where a name in HogQL is ambiguous, it is this one's table. A team has one.",
    )
    credentials = serializers.DictField(
        write_only=True,
        required=False,
        help_text=CREDENTIALS_HELP + " A field left out keeps its value; null takes it away.",
    )


class ModeSerializer(StrictSerializer):
    mode = ChoiceField(ConnectionMode.choices)


class SqlSerializer(StrictSerializer):
    called: ClassVar = {"query": "sql"}
    sql = serializers.CharField(max_length=MAX_SQL_CHARS, trim_whitespace=False)
    dialect = ChoiceField(
        [language.value for language in Language],
        default=Language.NATIVE.value,
        help_text="native is the warehouse's own SQL.",
    )
    values = serializers.DictField(
        required=False, help_text="With hogql: a value for each {name} of the query."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        wrong = "params" if attrs["dialect"] == Language.HOGQL else "values"
        if wrong in attrs:
            right = {"params": "values: an object", "values": "params"}[wrong]
            raise serializers.ValidationError({wrong: f"Here it is {right}."})
        return attrs


class QuerySerializer(SqlSerializer):
    params = serializers.JSONField(
        required=False, help_text="A list, or an object of named values."
    )
    max_rows = serializers.IntegerField(min_value=1, required=False)
    max_age_s = serializers.IntegerField(
        min_value=0,
        required=False,
        help_text="In mode hybrid: how old a kept answer may be, instead of the connection's "
        "cache_ttl_s; 0 asks the warehouse.",
    )

    def validate_params(self, value: Any) -> Any:
        if not isinstance(value, list | dict):
            raise serializers.ValidationError("Give a list, or an object of named values.")
        return value


class StepSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    ok = serializers.BooleanField()
    ms = serializers.FloatField()
    detail = serializers.CharField()
    code = serializers.CharField()
    hint = serializers.CharField()
    warning = serializers.BooleanField(help_text="It went well, and its code says what to mend.")


class CheckSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    steps = StepSerializer(many=True)


class CostSerializer(serializers.Serializer[Any]):
    low = serializers.DecimalField(None, 6, allow_null=True)
    high = serializers.DecimalField(None, 6, allow_null=True)
    currency = serializers.CharField()
    basis = serializers.CharField()


class EstimateSerializer(serializers.Serializer[Any]):
    sql = serializers.CharField(
        required=False, help_text="With hogql: what the warehouse would be sent."
    )
    bytes_scanned = serializers.IntegerField(allow_null=True)
    rows = serializers.IntegerField(allow_null=True)
    cost = CostSerializer()
    explanation = serializers.CharField()


class InvalidatedSerializer(serializers.Serializer[Any]):
    forgotten = serializers.IntegerField()


class WarehouseConnectionViewSet(ListModelMixin, RetrieveModelMixin, TeamViewSet):
    """Connections of one team."""

    queryset = WarehouseConnection.objects.none()  # names the model; rows come by get_queryset
    serializer_class = ConnectionSerializer
    filterset_fields = ("provider", "mode", "is_active", "last_test_status")
    lookup_value_converter = "uuid"
    roles: ClassVar = {
        "list": Role.VIEWER,
        "retrieve": Role.VIEWER,
        "tables": Role.VIEWER,
        "explain_mode": Role.VIEWER,
        "test": Role.ANALYST,
        "test_unsaved": Role.ADMIN,
        "estimate_cost": Role.ANALYST,
        "query": Role.ANALYST,
        "invalidate_cache": Role.ANALYST,
    }

    def get_queryset(self) -> QuerySet[WarehouseConnection]:
        return WarehouseConnection.objects.for_team(self.team).select_related("created_by")

    @extend_schema(request=NewConnectionSerializer, responses={201: ConnectionSerializer})
    def create(self, request: Request, **_: Any) -> Response:
        data = valid(NewConnectionSerializer, request)
        connection = connections.create(self.team, request.user, Draft.of(**data))
        return Response(ConnectionSerializer(connection).data, status.HTTP_201_CREATED)

    @extend_schema(request=ConnectionChangesSerializer, responses=ConnectionSerializer)
    def partial_update(self, request: Request, **_: Any) -> Response:
        changes = valid(ConnectionChangesSerializer, request)
        connection = connections.update(self.get_object(), changes)
        return Response(ConnectionSerializer(connection).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **_: Any) -> Response:
        connections.delete(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="environments_warehouse_connections_test_unsaved",
        request=UnsavedConnectionSerializer,
        responses=CheckSerializer,
    )
    @action(detail=False, methods=["post"], url_path="test")
    def test_unsaved(self, request: Request, **_: Any) -> Response:
        """Check credentials without saving them."""
        data = valid(UnsavedConnectionSerializer, request)
        return _tested(
            connection_test.of_unsaved(self.team, data["provider"], data["credentials"]), request
        )

    @extend_schema(request=None, responses=CheckSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, **_: Any) -> Response:
        """Check a saved connection and remember how it ended."""
        return _tested(connection_test.of(self.get_object()), request)

    @extend_schema(responses=TablesSerializer, parameters=[WantedTablesSerializer])
    @action(detail=True, url_path="schema")
    def tables(self, request: Request, **_: Any) -> Response:
        """Tables and columns, from the warehouse's metadata, page by page."""
        wanted = WantedTablesSerializer(data=request.query_params.dict())
        wanted.is_valid(raise_exception=True)
        connection = self.get_object()
        tables, more = query_executor.list_tables(connection, **wanted.validated_data)
        return Response(page(tables, table_modes.of(connection), more=more))

    @extend_schema(request=ModeSerializer, responses=ExplanationSerializer)
    @action(detail=True, methods=["post"])
    def explain_mode(self, request: Request, **_: Any) -> Response:
        """What giving the connection another mode would do, without doing it."""
        mode = ConnectionMode(valid(ModeSerializer, request)["mode"])
        return Response(vars(table_modes.explain_connection(self.get_object(), mode)))

    @extend_schema(request=SqlSerializer, responses=EstimateSerializer)
    @action(detail=True, methods=["post"])
    def estimate_cost(self, request: Request, **_: Any) -> Response:
        """Bytes and price of a query, without running it."""
        data = valid(SqlSerializer, request)
        plan = query_executor.plan(self.get_object(), _statement(data))
        printed = {"sql": plan.sql} if data["dialect"] == Language.HOGQL else {}
        return Response(accounts.estimate_as_json(plan.estimate) | printed)

    @extend_schema(
        request=QuerySerializer,
        responses=OpenApiResponse(ResultSerializer, results.__doc__ or ""),
    )
    @action(detail=True, methods=["post"], renderer_classes=answer.RENDERERS)
    def query(self, request: Request, **_: Any) -> StreamingHttpResponse:
        """Run one read-only query; the rows are streamed."""
        data = valid(QuerySerializer, request)
        run = query_executor.run(
            self.get_object(),
            _statement(data),
            data.get("max_rows"),
            data.get("max_age_s"),
            user=request.user,
        )
        return answer.streamed(run, request)

    @extend_schema(request=None, responses=InvalidatedSerializer)
    @action(detail=True, methods=["post"])
    def invalidate_cache(self, request: Request, **_: Any) -> Response:
        """Forget the answers that are kept of this connection."""
        return Response({"forgotten": cache.invalidate(self.team, self.get_object())})


def _statement(data: dict[str, Any]) -> Statement:
    return Statement(
        data["sql"], data.get("params", ()), Language(data["dialect"]), data.get("values", {})
    )


def _tested(test: ConnectionTest, request: Request) -> Response:
    """The report of a test, which a client that goes away ends."""
    with closing(HangupWatch(request.META, test.cancel)):
        report = test.run()
    steps = [asdict(step) | {"warning": step.warning} for step in report.steps]
    return Response({"ok": report.ok, "steps": steps})
