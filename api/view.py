"""`/api/environments/<team_id>/views/`: saved queries, and what the store keeps of them."""

from functools import cached_property
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Case, CharField, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce, JSONObject, NullIf
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from api.access import StrictSerializer, TeamViewSet, valid
from api.connection import CostSerializer
from api.naming import connection_named
from api.query_run import RunEstimateSerializer, estimate_of
from connectors.sql_guard import MAX_SQL_CHARS
from connectors.types import Basis
from etl import saved_views, views
from warehouse.access import Role
from warehouse.models import (
    RefreshStatus,
    RefreshTrigger,
    View,
    ViewRefresh,
)
from warehouse.views import broken, catalog, lineage, saving
from warehouse.views.inputs import Graph
from warehouse.views.lineage import Lineage, NodeKind, NodeMode


class ViewColumnSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.CharField(help_text="As HogQL has it.")


class ViewSerializer(serializers.ModelSerializer[View]):
    owner = serializers.StringRelatedField[Any](allow_null=True)
    target = serializers.StringRelatedField[Any](
        allow_null=True, help_text="The connection that keeps its rows; null: the team's store."
    )
    columns = serializers.SerializerMethodField()
    is_stored = serializers.SerializerMethodField(
        help_text="Queries read the rows of its last refresh; else it is computed when named."
    )
    last_status = serializers.CharField(
        allow_null=True, help_text="Of its last refresh; null: it has had none."
    )
    last_error = serializers.CharField(allow_null=True)
    last_bytes_scanned = serializers.IntegerField(
        allow_null=True, help_text="Of its last refresh that succeeded; null: not known."
    )
    last_bytes_billed = serializers.IntegerField(allow_null=True)
    last_cost = CostSerializer(
        allow_null=True, help_text="What was billed for it; where that is not known, its estimate."
    )
    broken = serializers.SerializerMethodField(
        allow_null=True, help_text="Why it cannot be computed any more; null: it can."
    )

    class Meta:
        model = View
        fields = (
            *("id", "name", "description", "owner", "query", "columns", "is_materialized"),
            *("schedule", "after_inputs", "bucket", "target", "target_schema", "target_table"),
            *("is_stored", "rows", "as_of"),
            *("last_status", "last_error", "last_bytes_scanned", "last_bytes_billed"),
            *("last_cost", "broken", "created_at", "updated_at"),
        )
        read_only_fields = fields

    @extend_schema_field(ViewColumnSerializer(many=True))
    def get_columns(self, view: View) -> list[dict[str, str]]:
        return [{"name": name, "type": str(kind)} for name, kind in catalog.load(view.columns)]

    def get_is_stored(self, view: View) -> bool:
        return bool(view.store_table)

    def get_broken(self, view: View) -> str | None:
        found: str | None = self.context["view"].broken.get(view.pk)
        return found


class ViewChangeSerializer(StrictSerializer):
    name = serializers.CharField(max_length=63, required=False)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    query = serializers.CharField(
        max_length=MAX_SQL_CHARS, required=False, trim_whitespace=False, help_text="In HogQL."
    )
    is_materialized = serializers.BooleanField(
        required=False, help_text="Keep its rows; the first refresh is queued."
    )
    target = serializers.CharField(
        max_length=200,
        required=False,
        allow_null=True,
        help_text="Id or name of the connection that keeps them, which must have all that the view "
        "reads; null: the team's store.",
    )
    target_schema = serializers.CharField(max_length=255, required=False, allow_blank=True)
    target_table = serializers.CharField(
        max_length=255, required=False, allow_blank=True, help_text="Empty: the view's name."
    )
    schedule = serializers.CharField(
        max_length=100,
        required=False,
        allow_blank=True,
        help_text="When to refresh it: five cron fields, UTC.",
    )
    after_inputs = serializers.BooleanField(
        required=False, help_text="Refresh it after each load of a table or view that it reads."
    )
    bucket = serializers.CharField(
        max_length=255,
        required=False,
        allow_blank=True,
        help_text="A column that it groups by: a refresh computes only those of its values whose "
        "rows have changed, where nothing in blockers/ keeps it from that.",
    )


class NewViewSerializer(ViewChangeSerializer):
    name = serializers.CharField(max_length=63)
    query = serializers.CharField(
        max_length=MAX_SQL_CHARS, trim_whitespace=False, help_text="In HogQL."
    )


class BlockersSerializer(serializers.Serializer[Any]):
    blockers = serializers.ListField(
        child=serializers.CharField(),
        help_text="What keeps it from being refreshed by its bucket; then it is refreshed whole.",
    )


class ViewRefreshSerializer(serializers.ModelSerializer[ViewRefresh]):
    view = serializers.StringRelatedField[Any]()
    estimate = serializers.SerializerMethodField(help_text="Made before it asked a warehouse.")

    class Meta:
        model = ViewRefresh
        fields = (
            *("id", "view", "status", "trigger", "attempt", "mode", "is_incremental", "rows"),
            *("rows_computed", "bytes_scanned", "bytes_billed", "amount_billed", "billed_in"),
            *("estimate", "created_at", "started_at", "finished_at", "error_code", "error"),
        )
        read_only_fields = fields

    @extend_schema_field(RunEstimateSerializer)
    def get_estimate(self, refresh: ViewRefresh) -> dict[str, Any]:
        return estimate_of(refresh)


class RefreshViewSerializer(StrictSerializer):
    with_upstream = serializers.BooleanField(
        default=False, help_text="First all materialized views that it reads, in their order."
    )


class NodeSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    kind = serializers.ChoiceField([kind.value for kind in NodeKind])
    name = serializers.CharField()
    mode = serializers.ChoiceField(
        [mode.value for mode in NodeMode],
        help_text="direct: read in its warehouse or, a view, computed where it is named.",
    )
    as_of = serializers.DateTimeField(allow_null=True, help_text="null: its rows are read live.")
    last_refresh = serializers.DateTimeField(
        allow_null=True, help_text="Of a view: when its last one ended."
    )


class EdgeSerializer(serializers.Serializer[Any]):
    read = serializers.CharField(help_text="The id of what is read.")
    reader = serializers.CharField(help_text="The id of what reads it.")


class LineageSerializer(serializers.Serializer[Any]):
    nodes = NodeSerializer(many=True)
    edges = EdgeSerializer(many=True)


class ViewViewSet(ListModelMixin, RetrieveModelMixin, TeamViewSet):
    """The team's views."""

    queryset = View.objects.none()  # names the model; rows come by get_queryset
    serializer_class = ViewSerializer
    lookup_value_converter = "uuid"
    roles: ClassVar = dict.fromkeys(
        ("list", "retrieve", "blockers", "refreshes", "lineage", "lineage_of_team"), Role.VIEWER
    ) | dict.fromkeys(("create", "partial_update", "refresh"), Role.ANALYST)

    def get_queryset(self) -> QuerySet[View]:
        refreshes = ViewRefresh.objects.for_team(self.team).filter(view=OuterRef("pk"))
        done = refreshes.filter(status=RefreshStatus.SUCCEEDED)
        return (
            View.objects.for_team(self.team)
            .select_related("owner", "target")
            .annotate(
                last_status=Subquery(refreshes.values("status")[:1]),
                last_error=Subquery(refreshes.values("error")[:1]),
                last_bytes_scanned=Subquery(done.values("bytes_scanned")[:1]),
                last_bytes_billed=Subquery(done.values("bytes_billed")[:1]),
                last_cost=Subquery(done.values(of=_COST)[:1]),
            )
        )

    @cached_property
    def broken(self) -> dict[UUID, str]:
        """The team's views that are."""
        return broken.reasons(self.team)

    @extend_schema(request=NewViewSerializer, responses={201: ViewSerializer})
    def create(self, request: Request, **_: Any) -> Response:
        """Save a query under a name that other queries may read."""
        data = self._with_target(valid(NewViewSerializer, request))
        made = saved_views.create(_new(self.team, request.user, data))
        return self._answer(made, status.HTTP_201_CREATED)

    @extend_schema(request=ViewChangeSerializer, responses=ViewSerializer)
    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change it; with another query it is computed until the next refresh."""
        view = self.get_object()
        data = self._with_target(valid(ViewChangeSerializer, request), view)
        return self._answer(saved_views.update(view, data))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **_: Any) -> Response:
        """Delete it, with its rows in the store; refused while other views read it."""
        saved_views.delete(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=RefreshViewSerializer, responses={202: ViewRefreshSerializer(many=True)})
    @action(detail=True, methods=["post"])
    def refresh(self, request: Request, **_: Any) -> Response:
        """Queue a refresh; its progress is at refreshes/."""
        view, data = self.get_object(), valid(RefreshViewSerializer, request)
        if data["with_upstream"]:
            queued = views.request_with_upstream(view)
        else:
            queued = [views.request(view, RefreshTrigger.API)]
        return Response(ViewRefreshSerializer(queued, many=True).data, status.HTTP_202_ACCEPTED)

    @extend_schema(responses=ViewRefreshSerializer(many=True))
    @action(detail=True)
    def refreshes(self, request: Request, **_: Any) -> Response:
        """Its refreshes, newest first, with their bytes and cost."""
        page = self.paginate_queryset(self.get_object().refreshes.select_related("view"))
        return self.get_paginated_response(ViewRefreshSerializer(page, many=True).data)

    @extend_schema(responses=BlockersSerializer)
    @action(detail=True)
    def blockers(self, request: Request, **_: Any) -> Response:
        """What keeps it from being refreshed by its bucket."""
        return Response({"blockers": saving.blockers(self.get_object())})

    @extend_schema(responses=LineageSerializer)
    @action(detail=True)
    def lineage(self, request: Request, **_: Any) -> Response:
        """Where its rows come from, and which views read it."""
        return Response(_shown(lineage.of_one(self.get_object())))

    @extend_schema(operation_id="environments_views_lineage_of_team", responses=LineageSerializer)
    @action(detail=False, url_path="lineage")
    def lineage_of_team(self, request: Request, **_: Any) -> Response:
        """All views of the team, with what they read."""
        return Response(_shown(lineage.of_team(self.team)))

    def _with_target(self, data: dict[str, Any], view: View | None = None) -> dict[str, Any]:
        """With the connection itself. Only an admin says what is written into a warehouse, as it is
        with pipelines."""
        if data.get("target") is not None:
            data["target"] = connection_named(self.team, data["target"], "target")
        if self.role < Role.ADMIN and (data.get("target") or (view and _is_written(view, data))):
            raise PermissionDenied("A view that is kept in a warehouse is for admins to change.")
        return data

    def _answer(self, view: View, code: int = status.HTTP_200_OK) -> Response:
        """As it is after what was asked for, a refresh that was queued included."""
        return Response(self.get_serializer(self.get_queryset().get(pk=view.pk)).data, code)


def _cost(low: str, high: str, currency: str, basis: Any) -> JSONObject:
    """Money is text, which keeps its digits."""
    ends = {"low": Cast(low, CharField()), "high": Cast(high, CharField())}
    return JSONObject(**ends, currency=currency, basis=basis)


_ESTIMATED = Coalesce(NullIf("basis", Value("")), Value(Basis.UNKNOWN.value))
_COST = Case(
    When(
        amount_billed__isnull=False,
        then=_cost("amount_billed", "amount_billed", "billed_in", Value(Basis.EXACT.value)),
    ),
    default=_cost("cost_low", "cost_high", "currency", _ESTIMATED),
)


def _is_written(view: View, changes: dict[str, Any]) -> bool:
    """Whether the changes are to what a warehouse keeps, of the view or of one that reads it."""
    readers = Graph.of(view.team_id).downstream(view) if "query" in changes else []
    return any(one.target_id is not None for one in [view, *readers])


def _new(team: Any, user: Any, data: dict[str, Any]) -> View:
    return View(team=team, owner=user, **data)


def _shown(found: Lineage) -> dict[str, Any]:
    edges = [{"read": read, "reader": reader} for read, reader in found.edges]
    return LineageSerializer({"nodes": found.nodes, "edges": edges}).data
