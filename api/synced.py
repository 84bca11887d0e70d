"""`…/warehouse_connections/<connection_id>/synced_tables/`: its tables in the team's store."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from api.access import StrictSerializer, TeamViewSet, valid
from api.explanation import ExplanationSerializer
from api.fields import ChoiceField
from api.run import PipelineRunSerializer
from etl import pipelines, sync
from etl.models import PipelineTable, ReadMode, Trigger
from etl.models.pipeline import MAX_STALE_MINUTES, MAX_SWEEP_HOURS
from etl.sync import Wish
from warehouse.access import Role
from warehouse.models import WarehouseConnection


class WishSerializer(StrictSerializer):
    schema = serializers.CharField(max_length=255)
    table = serializers.CharField(max_length=255)
    how = ChoiceField(ReadMode.choices, default=ReadMode.FULL)
    cursor_column = serializers.CharField(max_length=255, default="", allow_blank=True)
    key_columns = serializers.ListField(
        child=serializers.CharField(max_length=255),
        default=list,
        help_text="What tells rows apart where the source declares no primary key.",
    )
    columns = serializers.ListField(
        child=serializers.CharField(max_length=255), default=list, help_text="[]: all."
    )
    sweep_hours = serializers.IntegerField(default=24, min_value=0, max_value=MAX_SWEEP_HOURS)
    schedule = serializers.CharField(max_length=100, default="", allow_blank=True)
    stale_after_minutes = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, max_value=MAX_STALE_MINUTES
    )


class SyncedTableSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    pipeline = serializers.UUIDField(source="pipeline_id", help_text="Which moves its rows.")
    schema = serializers.CharField(source="source_schema")
    table = serializers.CharField(source="source_table")
    how = serializers.CharField(source="mode")
    cursor_column = serializers.CharField()
    key_columns = serializers.ListField(child=serializers.CharField())
    columns = serializers.ListField(child=serializers.CharField())
    sweep_hours = serializers.IntegerField()
    schedule = serializers.CharField(source="pipeline.schedule")
    stale_after_minutes = serializers.IntegerField(
        source="pipeline.stale_after_minutes", allow_null=True
    )
    is_stale = serializers.BooleanField(source="pipeline.is_stale")
    is_active = serializers.BooleanField(source="pipeline.is_active")
    as_of = serializers.DateTimeField(
        allow_null=True, help_text="Whatever was committed at the source by then is in the store."
    )
    lag_s = serializers.FloatField(allow_null=True)
    rows = serializers.IntegerField(allow_null=True, help_text="null: it was never loaded.")
    last_run = serializers.UUIDField(allow_null=True, help_text="At pipelines/<pipeline>/runs/.")
    last_status = serializers.CharField(allow_null=True)
    last_error = serializers.CharField(allow_null=True)


class SyncedTableViewSet(ListModelMixin, RetrieveModelMixin, TeamViewSet):
    """Tables of one connection that the team's store has, or is to have."""

    queryset = PipelineTable.objects.none()  # names the model; rows come by get_queryset
    serializer_class = SyncedTableSerializer
    pagination_class = None
    lookup_value_converter = "int"
    roles: ClassVar = dict.fromkeys(("list", "retrieve", "explain", "explain_removal"), Role.VIEWER)

    def get_queryset(self) -> QuerySet[PipelineTable]:
        return sync.tables(connection_of(self))

    @extend_schema(request=WishSerializer, responses={201: SyncedTableSerializer})
    def create(self, request: Request, **_: Any) -> Response:
        """Put a table into sync, which its warehouse must have; its first run is queued."""
        connection, wish = connection_of(self), Wish(**valid(WishSerializer, request))
        sync.require_source(connection, wish)
        made = sync.put(connection, request.user, wish)
        return Response(SyncedTableSerializer(made).data, status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **_: Any) -> Response:
        """Take it out of sync: the store's copy is dropped."""
        sync.take_out(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=WishSerializer, responses=ExplanationSerializer)
    @action(detail=False, methods=["post"])
    def explain(self, request: Request, **_: Any) -> Response:
        """What putting a table into sync would do, without doing it."""
        wish = Wish(**valid(WishSerializer, request))
        return Response(vars(sync.explain(connection_of(self), wish)))

    @extend_schema(responses=ExplanationSerializer)
    @action(detail=True)
    def explain_removal(self, request: Request, **_: Any) -> Response:
        """What taking it out of sync would do, without doing it."""
        return Response(vars(sync.explain_removal(self.get_object())))

    @extend_schema(request=None, responses={202: PipelineRunSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, **_: Any) -> Response:
        """Queue a run now; its progress is at pipelines/<pipeline>/runs/."""
        run = pipelines.request_run(self.get_object().pipeline, Trigger.API)
        return Response(PipelineRunSerializer(run).data, status.HTTP_202_ACCEPTED)


def connection_of(view: TeamViewSet) -> WarehouseConnection:
    """The connection in the address; raises NotFound for another team's."""
    of_team = WarehouseConnection.objects.for_team(view.team)
    found = of_team.filter(pk=view.kwargs["connection_id"]).first()
    if found is None:
        raise NotFound()
    return found
