"""`…/warehouse_connections/<connection_id>/table_modes/`: tables with a mode of their own."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from api.access import TeamViewSet, valid
from api.explanation import ExplanationSerializer
from api.fields import ChoiceField
from api.synced import WishSerializer, connection_of
from etl import sync, table_modes
from etl.sync import Wish
from warehouse.access import Role
from warehouse.models import ConnectionMode, TableMode


class WantedModeSerializer(WishSerializer):
    """A mode; what else there is, beside schema and table, says how a table goes into sync."""

    mode = ChoiceField(ConnectionMode.choices, allow_null=True, help_text="null: its connection's.")


class TableModeSerializer(serializers.Serializer[Any]):
    schema = serializers.CharField()
    table = serializers.CharField()
    mode = serializers.ChoiceField(ConnectionMode.choices)
    as_of = serializers.DateTimeField(
        allow_null=True,
        help_text="Of its copy in the store, or of the oldest answer that is kept of it; null: "
        "queries ask the warehouse.",
    )
    kept_answers = serializers.IntegerField()
    rows = serializers.IntegerField(
        source="synced.rows", allow_null=True, help_text="In the store."
    )
    pipeline = serializers.UUIDField(
        source="synced.pipeline_id", allow_null=True, help_text="Which moves its rows."
    )
    last_run = serializers.UUIDField(source="synced.last_run", allow_null=True)
    last_status = serializers.CharField(source="synced.last_status", allow_null=True)
    last_error = serializers.CharField(source="synced.last_error", allow_null=True)


class TableModeViewSet(TeamViewSet):
    """Tables of one connection whose mode is not by their connection's."""

    queryset = TableMode.objects.none()  # names the model; rows come from etl
    serializer_class = TableModeSerializer
    pagination_class = None
    roles: ClassVar = dict.fromkeys(("list", "explain"), Role.VIEWER)

    def get_queryset(self) -> QuerySet[TableMode]:
        return TableMode.objects.for_team(self.team)

    @extend_schema(responses=TableModeSerializer(many=True))
    def list(self, request: Request, **_: Any) -> Response:
        return self._listed()

    @extend_schema(request=WantedModeSerializer, responses=TableModeSerializer(many=True))
    def create(self, request: Request, **_: Any) -> Response:
        """Give a table another mode; answers with the list as it is then. Its warehouse must have
        it, but for null."""
        connection, (wish, mode) = connection_of(self), _wanted(request)
        if mode is not None:
            sync.require_source(connection, wish)
        table_modes.switch(connection, request.user, wish, mode)
        return self._listed()

    @extend_schema(request=WantedModeSerializer, responses=ExplanationSerializer)
    @action(detail=False, methods=["post"])
    def explain(self, request: Request, **_: Any) -> Response:
        """What giving a table another mode would do, without doing it."""
        wish, mode = _wanted(request)
        return Response(vars(table_modes.explain(connection_of(self), wish, mode)))

    def _listed(self) -> Response:
        found = table_modes.listed(connection_of(self))
        return Response(TableModeSerializer(found, many=True).data)


def _wanted(request: Request) -> tuple[Wish, ConnectionMode | None]:
    data = valid(WantedModeSerializer, request)
    mode = data.pop("mode")
    return Wish(**data), None if mode is None else ConnectionMode(mode)
