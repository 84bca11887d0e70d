"""`/api/environments/<team_id>/queries/`: HogQL over the team's own tables in the store."""

from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from api import results
from api.access import StrictSerializer, TeamViewSet, valid
from api.connection import ResultSerializer
from connectors.sql_guard import MAX_SQL_CHARS
from warehouse import query_executor
from warehouse.access import Role
from warehouse.hogql.errors import HogQLError


class LocalQuerySerializer(StrictSerializer):
    query = serializers.CharField(
        max_length=MAX_SQL_CHARS, trim_whitespace=False, help_text="In HogQL."
    )
    values = serializers.DictField(default=dict, help_text="A value for each {name} of the query.")
    max_rows = serializers.IntegerField(min_value=1, required=False)


class QueryViewSet(TeamViewSet):
    """Queries over what the team has in the store."""

    serializer_class = LocalQuerySerializer
    pagination_class = None
    filter_backends = ()
    roles: ClassVar = {"create": Role.ANALYST}

    @extend_schema(
        request=LocalQuerySerializer,
        responses=OpenApiResponse(ResultSerializer, results.__doc__ or ""),
    )
    def create(self, request: Request, **_: Any) -> StreamingHttpResponse:
        """Run one query over events, persons and other tables of the team; rows are streamed."""
        data = valid(LocalQuerySerializer, request)
        run = query_executor.run_in_store(
            self.team, data["query"], data["values"], data.get("max_rows")
        )
        try:
            return results.stream(run, request.META)
        except HogQLError as exc:
            # Here the text stands in another field.
            exc.fields = {"query": exc.fields["sql"]}
            raise
