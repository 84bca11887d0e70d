"""Runs of a pipeline, as they are shown, and what can be done about them."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from api.access import StrictSerializer, TeamViewSet, valid
from api.connection import CostSerializer
from etl import steering
from etl.models import Pipeline, PipelineRun, QuarantinedValue, TableRun, Trigger


class TableRunSerializer(serializers.ModelSerializer[TableRun]):
    table = serializers.StringRelatedField[Any]()
    cost = CostSerializer(allow_null=True, help_text="Of the load; null: unknown.")

    class Meta:
        model = TableRun
        fields = (
            *("table", "step", "rows", "rows_expected", "bytes_staged", "chunks"),
            *("chunks_staged", "rows_in_target", "quarantined", "drift", "note"),
            *("rows_per_s", "eta_s", "extract_s", "load_s", "cost", "as_of"),
        )
        read_only_fields = fields


class QuarantinedValueSerializer(serializers.ModelSerializer[QuarantinedValue]):
    table = serializers.StringRelatedField[Any](source="table_run.table")

    class Meta:
        model = QuarantinedValue
        fields = ("table", "key", "column", "reason", "text", "created_at")
        read_only_fields = fields


class TotalsSerializer(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    bytes_staged = serializers.IntegerField()
    chunks = serializers.IntegerField()
    chunks_staged = serializers.IntegerField()
    rows_per_s = serializers.FloatField(allow_null=True)
    eta_s = serializers.FloatField(
        allow_null=True, help_text="When all is read, at the speed so far; null: unknown."
    )
    cost = CostSerializer(allow_null=True, help_text="Of the loads so far; null: unknown.")


class PipelineRunSerializer(serializers.ModelSerializer[PipelineRun]):
    tables = TableRunSerializer(many=True)
    totals = TotalsSerializer()

    class Meta:
        model = PipelineRun
        fields = (
            "id",
            "status",
            "trigger",
            "attempt",
            "attempts",
            "is_refresh",
            "created_at",
            "started_at",
            "finished_at",
            "duration_s",
            "error_code",
            "error",
            "totals",
            "tables",
        )
        read_only_fields = fields


class RefreshSerializer(StrictSerializer):
    tables = serializers.ListField(
        child=serializers.CharField(max_length=511),
        default=list,
        help_text="As schema.table; none: every table of the pipeline.",
    )


class SteeringActions(TeamViewSet):
    """What can be done about a pipeline of the team, and about one of its runs."""

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, **_: Any) -> Response:
        """No run starts; one that is under way stops within seconds and keeps what is staged."""
        return self._switched(on=False)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, **_: Any) -> Response:
        """Runs start again; one that was paused goes on from what is staged."""
        return self._switched(on=True)

    @extend_schema(request=RefreshSerializer, responses={202: PipelineRunSerializer})
    @action(detail=True, methods=["post"])
    def refresh(self, request: Request, **_: Any) -> Response:
        """Queue a run that reads tables whole, in place of what the target has."""
        names = valid(RefreshSerializer, request)["tables"]
        run = steering.refresh(self.get_object(), Trigger.API, names)
        return _accepted(run)

    @extend_schema(responses=PipelineRunSerializer)
    @action(detail=True, url_path="runs/<uuid:run_id>")
    def one_run(self, request: Request, run_id: UUID, **_: Any) -> Response:
        """One run, as it is now."""
        return Response(PipelineRunSerializer(self.find_run(run_id)).data)

    @extend_schema(request=None, responses={202: PipelineRunSerializer})
    @action(detail=True, methods=["post"], url_path="runs/<uuid:run_id>/retry")
    def retry(self, request: Request, run_id: UUID, **_: Any) -> Response:
        """Queue the pipeline's last run again if it has failed; what is staged is used."""
        return _accepted(steering.retry(self.find_run(run_id)))

    @extend_schema(request=None, responses=PipelineRunSerializer)
    @action(detail=True, methods=["post"], url_path="runs/<uuid:run_id>/cancel")
    def cancel(self, request: Request, run_id: UUID, **_: Any) -> Response:
        """End a run that waits, runs or is paused."""
        return Response(PipelineRunSerializer(steering.cancel(self.find_run(run_id))).data)

    def find_run(self, run_id: UUID) -> PipelineRun:
        """A run of the pipeline in the address; raises NotFound."""
        runs = self.get_object().runs.prefetch_related("tables__table")
        run: PipelineRun | None = runs.filter(pk=run_id).first()
        if run is None:
            raise NotFound()
        return run

    def _switched(self, *, on: bool) -> Response:
        try:
            (steering.resume if on else steering.pause)(self.get_object())
        except Pipeline.DoesNotExist:
            raise NotFound() from None
        return Response(self.get_serializer(self.get_object()).data)


def _accepted(run: PipelineRun) -> Response:
    return Response(PipelineRunSerializer(run).data, status.HTTP_202_ACCEPTED)
