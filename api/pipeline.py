"""`/api/environments/<team_id>/pipelines/`."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from api.access import StrictSerializer
from api.fields import ChoiceField
from api.run import PipelineRunSerializer, QuarantinedValueSerializer, SteeringActions
from connectors.types import Contract
from etl import pipelines, quarantine
from etl.models import Deletes, Pipeline, PipelineTable, ReadMode, Trigger
from etl.models.pipeline import (
    MAX_SOURCE_LOAD,
    MAX_STALE_MINUTES,
    MAX_SWEEP_HOURS,
    MIN_SOURCE_MB_S,
)
from etl.pipelines import TableSpec
from warehouse.access import Role
from warehouse.models import WarehouseConnection

MAX_LIMIT = 1_000_000
"""Each value in quarantine is a row of the service's own database."""


class TableSpecSerializer(StrictSerializer):
    source_schema = serializers.CharField(max_length=255, default="public")
    source_table = serializers.CharField(max_length=255)
    destination_table = serializers.CharField(max_length=255, default="", allow_blank=True)
    mode = ChoiceField(ReadMode.choices, default=ReadMode.XID)
    cursor_column = serializers.CharField(max_length=255, default="", allow_blank=True)
    sweep_hours = serializers.IntegerField(default=24, min_value=0, max_value=MAX_SWEEP_HOURS)
    deletes = ChoiceField(Deletes.choices, default=Deletes.KEPT)
    delete_limit_percent = serializers.IntegerField(default=10, min_value=0, max_value=100)
    columns = serializers.ListField(child=serializers.CharField(max_length=255), default=list)
    key_columns = serializers.ListField(child=serializers.CharField(max_length=255), default=list)


class PipelineTableSerializer(serializers.ModelSerializer[PipelineTable]):
    watermark = serializers.SerializerMethodField()

    class Meta:
        model = PipelineTable
        fields = (
            *("source_schema", "source_table", "destination_table", "mode", "cursor_column"),
            *("sweep_hours", "deletes", "delete_limit_percent", "columns", "key_columns"),
            *("watermark", "retained_bytes", "as_of", "lag_s"),
        )
        read_only_fields = fields

    def get_watermark(self, table: PipelineTable) -> dict[str, Any] | None:
        """Without the transactions seen, which can be many."""
        kept: dict[str, Any] | None = table.watermark
        return kept and {name: value for name, value in kept.items() if name != "seen"}


class PipelineSerializer(serializers.ModelSerializer[Pipeline]):
    tables = PipelineTableSerializer(many=True)

    class Meta:
        model = Pipeline
        fields = (
            "id",
            "name",
            "source",
            "destination",
            "destination_schema",
            "stage",
            "contract",
            "schedule",
            "quarantine_limit",
            "stale_after_minutes",
            "is_stale",
            "is_active",
            "max_source_load",
            "max_source_mb_s",
            "tables",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class PipelineChangesSerializer(StrictSerializer):
    name = serializers.CharField(max_length=200)
    # Named as the API names it; DRF's fields have an attribute of that name, unused in a form.
    source = serializers.UUIDField()  # type: ignore[assignment]
    destination = serializers.UUIDField(allow_null=True, help_text="null: the team's store.")
    destination_schema = serializers.CharField(max_length=255, default="", allow_blank=True)
    stage = serializers.CharField(max_length=255, default="", allow_blank=True)
    contract = ChoiceField([contract.value for contract in Contract], default=Contract.EVOLVE.value)
    schedule = serializers.CharField(max_length=100, default="", allow_blank=True)
    quarantine_limit = serializers.IntegerField(default=0, min_value=0, max_value=MAX_LIMIT)
    stale_after_minutes = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, max_value=MAX_STALE_MINUTES
    )
    is_active = serializers.BooleanField(default=True)
    max_source_load = serializers.IntegerField(default=1, min_value=1, max_value=MAX_SOURCE_LOAD)
    max_source_mb_s = serializers.DecimalField(
        *(6, 1), default=None, allow_null=True, min_value=MIN_SOURCE_MB_S
    )
    tables = TableSpecSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        """A change may leave out any field; what it names, tables above all, must be whole."""
        fields = super().get_fields()
        if self.context.get("change"):
            for field in fields.values():
                field.required, field.default = False, serializers.empty
        return fields

    def validate_source(self, value: Any) -> WarehouseConnection:
        return self._connection(value)

    def validate_destination(self, value: Any) -> WarehouseConnection | None:
        return None if value is None else self._connection(value)

    def _connection(self, pk: Any) -> WarehouseConnection:
        found = WarehouseConnection.objects.for_team(self.context["team"]).filter(pk=pk).first()
        if found is None:
            raise serializers.ValidationError("The team has no such connection.")
        return found


class PipelineViewSet(ListModelMixin, RetrieveModelMixin, SteeringActions):
    """Pipelines of one team."""

    queryset = Pipeline.objects.none()  # names the model; rows come by get_queryset
    serializer_class = PipelineSerializer
    lookup_value_converter = "uuid"
    roles: ClassVar = {
        "list": Role.VIEWER,
        "retrieve": Role.VIEWER,
        "runs": Role.VIEWER,
        "one_run": Role.VIEWER,
        # It shows values of the source, as a query does.
        "quarantine": Role.ANALYST,
    }

    def get_queryset(self) -> QuerySet[Pipeline]:
        return Pipeline.objects.for_team(self.team).prefetch_related("tables__followed")

    @extend_schema(request=PipelineChangesSerializer, responses={201: PipelineSerializer})
    def create(self, request: Request, **_: Any) -> Response:
        data = self._valid(request)
        tables = [TableSpec(**table) for table in data.pop("tables")]
        pipeline = Pipeline(team=self.team, created_by_id=request.user.pk, **data)
        pipelines.create(pipeline, tables)
        return Response(PipelineSerializer(pipeline).data, status.HTTP_201_CREATED)

    @extend_schema(request=PipelineChangesSerializer, responses=PipelineSerializer)
    def partial_update(self, request: Request, **_: Any) -> Response:
        data = self._valid(request, change=True)
        tables = data.pop("tables", None)
        specs = None if tables is None else [TableSpec(**table) for table in tables]
        try:
            pipelines.update(self.get_object(), data, specs)
        except Pipeline.DoesNotExist:
            raise NotFound() from None
        return Response(PipelineSerializer(self.get_object()).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **_: Any) -> Response:
        pipelines.delete(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={202: PipelineRunSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, **_: Any) -> Response:
        """Queue a run; its progress is at runs/."""
        run = pipelines.request_run(self.get_object(), Trigger.API)
        return Response(PipelineRunSerializer(run).data, status.HTTP_202_ACCEPTED)

    @extend_schema(responses=PipelineRunSerializer(many=True))
    @action(detail=True)
    def runs(self, request: Request, **_: Any) -> Response:
        """Runs, newest first, with each table's step, rows and bytes."""
        found = self.get_object().runs.prefetch_related("tables__table")
        page = self.paginate_queryset(found)
        return self.get_paginated_response(PipelineRunSerializer(page, many=True).data)

    @extend_schema(responses=QuarantinedValueSerializer(many=True))
    @action(detail=True, url_path="runs/<uuid:run_id>/quarantine")
    def quarantine(self, request: Request, run_id: UUID, **_: Any) -> Response:
        """Values that are NULL in the target because they cannot be carried exactly."""
        run = self.find_run(run_id)
        page = self.paginate_queryset(quarantine.shown(run).select_related("table_run__table"))
        return self.get_paginated_response(QuarantinedValueSerializer(page, many=True).data)

    def _valid(self, request: Request, *, change: bool = False) -> dict[str, Any]:
        checked = PipelineChangesSerializer(
            data=request.data, context={"team": self.team, "change": change}
        )
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)
