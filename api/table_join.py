"""`/api/environments/<team_id>/table_joins/`: joins that queries follow by name."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from api.access import StrictSerializer, TeamViewSet, valid
from warehouse import joins
from warehouse.access import Role
from warehouse.joins import Draft
from warehouse.models import TableJoin

MAX_KEYS = 10
TABLE_HELP = "As in a query: events, or <connection>.<schema>.<table>."


class KeySerializer(StrictSerializer):
    column = serializers.CharField(max_length=255, help_text="Of the table.")
    joined_column = serializers.CharField(max_length=255, help_text="Of the joined one.")


class TableJoinChangesSerializer(StrictSerializer):
    table = serializers.CharField(max_length=1000, required=False, help_text=TABLE_HELP)
    field = serializers.RegexField(
        r"^[A-Za-z][A-Za-z0-9_]*\Z",
        max_length=40,
        required=False,
        help_text="What queries call it: <table>.<field>.<column>.",
    )
    joined_table = serializers.CharField(max_length=1000, required=False, help_text=TABLE_HELP)
    keys = KeySerializer(many=True, required=False, help_text="Columns that are equal.")

    def validate_keys(self, keys: list[dict[str, str]]) -> list[tuple[str, str]]:
        if not 0 < len(keys) <= MAX_KEYS:
            raise serializers.ValidationError(f"Name from 1 to {MAX_KEYS} pairs of columns.")
        return [(key["column"], key["joined_column"]) for key in keys]


class NewTableJoinSerializer(TableJoinChangesSerializer):
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = True
        return fields


class TableJoinSerializer(serializers.ModelSerializer[TableJoin]):
    keys = serializers.SerializerMethodField()

    class Meta:
        model = TableJoin
        fields = ("id", "table", "field", "joined_table", "keys", "created_at")
        read_only_fields = fields

    @extend_schema_field(KeySerializer(many=True))
    def get_keys(self, join: TableJoin) -> list[dict[str, str]]:
        return [{"column": own, "joined_column": other} for own, other in join.keys]


class TableJoinViewSet(ListModelMixin, RetrieveModelMixin, TeamViewSet):
    """Joins that the team's queries follow by name."""

    queryset = TableJoin.objects.none()  # names the model; rows come by get_queryset
    serializer_class = TableJoinSerializer
    lookup_value_converter = "uuid"
    roles: ClassVar = {"list": Role.VIEWER, "retrieve": Role.VIEWER}

    def get_queryset(self) -> QuerySet[TableJoin]:
        return TableJoin.objects.for_team(self.team)

    @extend_schema(request=NewTableJoinSerializer, responses={201: TableJoinSerializer})
    def create(self, request: Request, **_: Any) -> Response:
        """Declare a join; its tables, columns and their types are checked."""
        draft = Draft(**valid(NewTableJoinSerializer, request))
        made = joins.create(self.team, request.user, draft)
        return Response(TableJoinSerializer(made).data, status.HTTP_201_CREATED)

    @extend_schema(request=TableJoinChangesSerializer, responses=TableJoinSerializer)
    def partial_update(self, request: Request, **_: Any) -> Response:
        """Declare it anew, with what is given in the place of what it was."""
        join = self.get_object()
        was = {name: getattr(join, name) for name in ("table", "field", "joined_table", "keys")}
        draft = Draft(**was | valid(TableJoinChangesSerializer, request))
        return Response(TableJoinSerializer(joins.update(join, draft)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **_: Any) -> Response:
        self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
