"""Queries as the team's books show them."""

from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.connection import CostSerializer, EstimateSerializer
from api.naming import connection_named
from connectors.types import Basis
from warehouse.models import QueryRun, ViewRefresh
from warehouse.money import money


class LegSerializer(serializers.Serializer[Any]):
    connection = serializers.CharField(allow_null=True, help_text="Its name; null is the store.")
    sql = serializers.CharField()
    estimate = EstimateSerializer(
        allow_null=True, help_text="null: not asked for; the store bills nothing."
    )


class RunEstimateSerializer(serializers.Serializer[Any]):
    bytes_scanned = serializers.IntegerField(allow_null=True)
    cost = CostSerializer()


def shown_estimate(
    estimated_bytes: int | None = None,
    cost_low: Decimal | None = None,
    cost_high: Decimal | None = None,
    currency: str = "",
    basis: str = "",
) -> dict[str, Any]:
    """As RunEstimateSerializer has it; what is not given is unknown."""
    ends = {"low": money(cost_low), "high": money(cost_high)}
    cost = {**ends, "currency": currency, "basis": basis or Basis.UNKNOWN.value}
    return {"bytes_scanned": estimated_bytes, "cost": cost}


def estimate_of(run: QueryRun | ViewRefresh) -> dict[str, Any]:
    """What a query, or a refresh, was to read and to cost."""
    return shown_estimate(run.estimated_bytes, run.cost_low, run.cost_high, run.currency, run.basis)


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
    plan = LegSerializer(many=True, allow_null=True)
    estimate = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    has_rows = serializers.SerializerMethodField(help_text="…/result/ has them.")

    class Meta:
        model = QueryRun
        fields = (
            *("id", "user", "connection", "text", "dialect", "mode", "plan", "estimate"),
            *("outcome", "cached", "as_of", "rows", "truncated", "bytes_scanned", "bytes_billed"),
            *("amount_billed", "billed_in"),
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
        return estimate_of(run)

    @extend_schema_field(RunErrorSerializer(allow_null=True))
    def get_error(self, run: QueryRun) -> dict[str, Any] | None:
        return RunErrorSerializer(run).data if run.error_code else None

    def get_has_rows(self, run: QueryRun) -> bool:
        return run.result_expires_at is not None and run.result_expires_at > timezone.now()


class QueryRunFilters(filters.FilterSet):  # type: ignore[misc]
    connection = filters.CharFilter(
        method="asking", help_text="Its id or name: queries that have asked it, or were to."
    )
    user = filters.CharFilter(method="of_user", help_text="The name that user signs in with.")
    since = filters.IsoDateTimeFilter("created_at", "gte", help_text="Made then or later.")
    until = filters.IsoDateTimeFilter("created_at", "lt", help_text="Made earlier.")

    class Meta:
        model = QueryRun
        fields = ("outcome", "dialect", "mode", "cached")

    def asking(self, runs: QuerySet[QueryRun], _: str, value: str) -> QuerySet[QueryRun]:
        """Of a query over several connections, what was planned says which."""
        found = connection_named(self.request.parser_context["view"].team, value)
        return runs.filter(Q(connection=found) | Q(plan__contains=[{"connection": found.name}]))

    def of_user(self, runs: QuerySet[QueryRun], _: str, value: str) -> QuerySet[QueryRun]:
        return runs.filter(**{f"user__{get_user_model().USERNAME_FIELD}": value})


def runs_of(team: Any) -> QuerySet[QueryRun]:
    """The team's, without the rows that are kept of them."""
    rows = QueryRun.objects.for_team(team).select_related("user", "connection")
    return rows.defer("content", "sealed_inputs")
