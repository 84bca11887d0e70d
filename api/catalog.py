"""`/api/environments/<team_id>/catalog/`: what a query in HogQL may name."""

from dataclasses import asdict
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from api.access import StrictSerializer, TeamViewSet
from api.tables import MOST_TABLES, PAGE_TABLES
from etl import table_modes
from warehouse import listing
from warehouse.access import Role
from warehouse.hogql import reference
from warehouse.hogql.functions.lookup import ALIASES


class WantedSerializer(StrictSerializer):
    search = serializers.CharField(
        default="", allow_blank=True, max_length=255, help_text="A part of the name, in any case."
    )
    limit = serializers.IntegerField(
        default=PAGE_TABLES, min_value=1, max_value=MOST_TABLES, help_text="Tables of a page."
    )
    after = serializers.CharField(
        default="", allow_blank=True, max_length=4_000, help_text="The next of the page before."
    )


class CatalogColumnSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.CharField(help_text="As HogQL sees it.")
    nullable = serializers.BooleanField(allow_null=True)
    description = serializers.CharField(allow_null=True)


class CatalogTableSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="As it is written in HogQL.")
    short_name = serializers.CharField(
        allow_null=True, help_text="The shortest end of the name that is this table's alone."
    )
    connection = serializers.CharField(allow_null=True, help_text="null: the store's own.")
    provider = serializers.CharField(allow_null=True)
    mode = serializers.CharField(
        help_text="sync, direct or hybrid; direct, too, a view that is computed where it is named; "
        "store: the store's own."
    )
    as_of = serializers.DateTimeField(
        allow_null=True, help_text="How fresh a copy in the store, or the rows of a view, are."
    )
    description = serializers.CharField(allow_null=True)
    columns = CatalogColumnSerializer(many=True)


class UnreadSerializer(serializers.Serializer[Any]):
    connection = serializers.CharField()
    code = serializers.CharField(help_text="Why its tables could not be read.")


class CatalogSerializer(serializers.Serializer[Any]):
    tables = CatalogTableSerializer(many=True)
    next = serializers.CharField(
        allow_null=True, help_text="Send it as after for the next page; null on the last one."
    )
    unread = UnreadSerializer(many=True)


class FunctionSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    signature = serializers.CharField()
    written = serializers.CharField(help_text="As an operator, where it is one.")
    returns = serializers.CharField(help_text="same: the first argument's type; as given: theirs.")
    kind = serializers.CharField(help_text="scalar, aggregate or window.")
    description = serializers.CharField()
    dialects = serializers.ListField(
        child=serializers.CharField(), help_text="Where it has an equal; the store is clickhouse."
    )


class FunctionsSerializer(serializers.Serializer[Any]):
    functions = FunctionSerializer(many=True)
    aliases = serializers.DictField(child=serializers.CharField(), help_text="Other names.")


class CatalogViewSet(TeamViewSet):
    """Tables, columns and functions, for autocomplete."""

    serializer_class = CatalogSerializer
    pagination_class = None
    filter_backends = ()
    roles: ClassVar = {"list": Role.VIEWER, "functions": Role.VIEWER}

    @extend_schema(
        operation_id="environments_catalog_list",
        parameters=[WantedSerializer],
        responses=CatalogSerializer,
    )
    def list(self, request: Request, **_: Any) -> Response:
        """The tables that the team's queries may name: of the store, and of each connection that
        is active and answers."""
        wanted = WantedSerializer(data=request.query_params.dict())
        wanted.is_valid(raise_exception=True)
        page = listing.page(self.team, lambda one: table_modes.of(one).of, **wanted.validated_data)
        return Response(asdict(page))

    @extend_schema(responses=FunctionsSerializer)
    @action(detail=False)
    def functions(self, request: Request, **_: Any) -> Response:
        """Every function of HogQL."""
        return Response({"functions": reference.entries(), "aliases": dict(ALIASES)})
