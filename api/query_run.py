"""Queries as the team's books show them."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.connection import CostSerializer
from warehouse.models import QueryRun


class PlanLegSerializer(serializers.Serializer[Any]):
    connection = serializers.CharField(allow_null=True, help_text="Its name; null is the store.")
    sql = serializers.CharField()
    estimated_rows = serializers.IntegerField(allow_null=True)
    estimated_bytes = serializers.IntegerField(allow_null=True)


class RunEstimateSerializer(serializers.Serializer[Any]):
    bytes_scanned = serializers.IntegerField(allow_null=True)
    cost = CostSerializer()


class RunErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(source="error_code")
    title = serializers.CharField(source="error")
    hint = serializers.CharField(source="error_hint")
    fields = serializers.DictField(  # type: ignore[assignment]
        source="error_fields", child=serializers.CharField()
    )


class QueryRunSerializer(serializers.ModelSerializer[QueryRun]):
    """What was asked, and what went wrong, is shown to whoever ran it and to admins of the team."""

    user = serializers.StringRelatedField[Any]()
    connection = serializers.StringRelatedField[Any](help_text="Of a query over one, its name.")
    text = serializers.CharField(allow_null=True, help_text="null: it is not yours to see.")
    plan = PlanLegSerializer(many=True, allow_null=True)
    estimate = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    has_rows = serializers.SerializerMethodField(help_text="…/result/ has them.")

    class Meta:
        model = QueryRun
        fields = (
            *("id", "user", "connection", "text", "dialect", "mode", "plan", "estimate"),
            *("outcome", "cached", "as_of", "rows", "truncated", "bytes_scanned", "bytes_billed"),
            *("duration_s", "created_at", "started_at", "finished_at", "cancel_asked_at"),
            *("error", "has_rows", "result_expires_at"),
        )
        read_only_fields = fields

    def to_representation(self, instance: QueryRun) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if not self.context["sees"](instance):
            shown |= dict.fromkeys(("text", "plan", "error"))
        return shown

    @extend_schema_field(RunEstimateSerializer)
    def get_estimate(self, run: QueryRun) -> dict[str, Any]:
        cost = {"low": run.cost_low, "high": run.cost_high}
        return {
            "bytes_scanned": run.estimated_bytes,
            "cost": {
                **{
                    end: None if money is None else format(money, "f")
                    for end, money in cost.items()
                },
                "currency": run.currency,
                "basis": run.basis or "unknown",
            },
        }

    @extend_schema_field(RunErrorSerializer(allow_null=True))
    def get_error(self, run: QueryRun) -> dict[str, Any] | None:
        return RunErrorSerializer(run).data if run.error_code else None

    def get_has_rows(self, run: QueryRun) -> bool:
        return run.result_expires_at is not None and run.result_expires_at > timezone.now()


def runs_of(team: Any) -> QuerySet[QueryRun]:
    """The team's, without the rows that are kept of them."""
    rows = QueryRun.objects.for_team(team).select_related("user", "connection")
    return rows.defer("content", "sealed_inputs")
