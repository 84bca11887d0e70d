"""`/api/environments/<team_id>/events/`: events into the team's store."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.access import StrictSerializer, TeamViewSet, valid
from warehouse.access import Role
from warehouse.events import batch
from warehouse.events.batch import MAX_EVENTS
from warehouse.events.items import MAX_NAME_CHARS

_NAME = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS}
_DOCUMENT = {"type": "object", "additionalProperties": {}}
EVENT = {
    "type": "object",
    "properties": {
        "event": _NAME,
        "distinct_id": _NAME,
        "timestamp": {
            "type": "string",
            "format": "date-time",
            "description": "UTC, if it names no zone; left out: now.",
        },
        "uuid": {
            "type": "string",
            "format": "uuid",
            "description": "An event that is sent again under the same one is there once.",
        },
        "properties": _DOCUMENT,
        "$set": {**_DOCUMENT, "description": "Properties of the person."},
        "$set_once": {**_DOCUMENT, "description": "Those that the person has not yet."},
    },
    "required": ["event", "distinct_id"],
    "additionalProperties": False,
}


@extend_schema_field({"type": "array", "items": EVENT, "minItems": 1, "maxItems": MAX_EVENTS})
class BatchField(serializers.ListField):
    """Items that ``warehouse.events`` judges."""

    child = serializers.JSONField()


class EventsSerializer(StrictSerializer):
    batch = BatchField(min_length=1, max_length=MAX_EVENTS)


class WrittenSerializer(serializers.Serializer[Any]):
    written = serializers.IntegerField(help_text="Events that are in the store now.")


class EventViewSet(TeamViewSet):
    """Events of one team."""

    serializer_class = EventsSerializer
    pagination_class = None
    filter_backends = ()
    roles: ClassVar = {"create": Role.ADMIN}

    @extend_schema(request=EventsSerializer, responses=WrittenSerializer)
    def create(self, request: Request, **_: Any) -> Response:
        """Write all events of a batch, or none; they are on disk when this answers."""
        items = valid(EventsSerializer, request)["batch"]
        return Response({"written": batch.take(self.team.pk, items)})
