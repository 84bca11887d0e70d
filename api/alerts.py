"""`/api/environments/<team_id>/alert_channels/`."""

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
from api.fields import ChoiceField
from connectors.errors import ConnectorError
from etl import channels, delivery
from etl.models import AlertChannel, AlertDelivery, AlertEvent, ChannelKind
from warehouse.access import Role

MAX_PIPELINES = 1000
ADDRESS_HELP = "An http(s) address or an e-mail address. Written, never returned."
SECRET_HELP = (
    "Of a webhook: whsec_ and the base64 of 24 to 64 bytes, with which each message is signed "  # noqa: S105
    "(Standard Webhooks). Written, never returned; needed again when the address changes."
)


class ChannelSerializer(serializers.ModelSerializer[AlertChannel]):
    """A channel as it is shown: where it points, without what opens it."""

    events = serializers.ListField(child=serializers.ChoiceField(AlertEvent.choices))
    pipelines = serializers.SerializerMethodField(help_text="Ids; null: every pipeline.")

    class Meta:
        model = AlertChannel
        fields = (
            *("id", "name", "kind", "target", "events", "pipelines", "is_active"),
            *("created_at", "updated_at"),
        )
        read_only_fields = fields

    def get_pipelines(self, channel: AlertChannel) -> list[str] | None:
        if channel.every_pipeline:
            return None
        return [str(pipeline.pk) for pipeline in channel.pipelines.all()]


class ChannelChangesSerializer(StrictSerializer):
    name = serializers.CharField(max_length=200, required=False)
    address = serializers.CharField(
        max_length=2000, write_only=True, required=False, help_text=ADDRESS_HELP
    )
    secret = serializers.CharField(
        max_length=200, write_only=True, required=False, help_text=SECRET_HELP
    )
    events = serializers.ListField(
        child=ChoiceField(AlertEvent.choices), min_length=1, required=False
    )
    pipelines = serializers.ListField(
        child=serializers.UUIDField(),
        max_length=MAX_PIPELINES,
        allow_null=True,
        required=False,
        help_text="Ids; null: every pipeline.",
    )
    is_active = serializers.BooleanField(required=False)


class NewChannelSerializer(ChannelChangesSerializer):
    name = serializers.CharField(max_length=200)
    kind = ChoiceField(ChannelKind.choices)
    address = serializers.CharField(max_length=2000, write_only=True, help_text=ADDRESS_HELP)
    events = serializers.ListField(
        child=ChoiceField(AlertEvent.choices),
        min_length=1,
        default=lambda: list(AlertEvent.values),
        help_text="All of them unless you choose.",
    )


class TrialSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    code = serializers.CharField()
    detail = serializers.CharField()
    hint = serializers.CharField()


class DeliverySerializer(serializers.ModelSerializer[AlertDelivery]):
    class Meta:
        model = AlertDelivery
        fields = (
            *("id", "pipeline", "event", "status", "attempts", "error_code", "error"),
            *("created_at", "delivered_at", "next_try_at"),
        )
        read_only_fields = fields


class AlertChannelViewSet(ListModelMixin, RetrieveModelMixin, TeamViewSet):
    """Where a team is told of its pipelines."""

    queryset = AlertChannel.objects.none()  # names the model; rows come by get_queryset
    serializer_class = ChannelSerializer
    lookup_value_converter = "uuid"
    roles: ClassVar = {
        "list": Role.VIEWER,
        "retrieve": Role.VIEWER,
        "deliveries": Role.VIEWER,
    }

    def get_queryset(self) -> QuerySet[AlertChannel]:
        return AlertChannel.objects.for_team(self.team).prefetch_related("pipelines")

    @extend_schema(request=NewChannelSerializer, responses={201: ChannelSerializer})
    def create(self, request: Request, **_: Any) -> Response:
        data = valid(NewChannelSerializer, request)
        draft = AlertChannel(team=self.team, created_by_id=request.user.pk, kind=data.pop("kind"))
        made = channels.create(draft, data)
        return Response(ChannelSerializer(made).data, status.HTTP_201_CREATED)

    @extend_schema(request=ChannelChangesSerializer, responses=ChannelSerializer)
    def partial_update(self, request: Request, **_: Any) -> Response:
        try:
            channels.update(self.get_object(), valid(ChannelChangesSerializer, request))
        except AlertChannel.DoesNotExist:
            raise NotFound() from None
        return Response(ChannelSerializer(self.get_object()).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **_: Any) -> Response:
        self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=TrialSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, **_: Any) -> Response:
        """Send a test alert now, and tell whether it was taken."""
        try:
            delivery.try_out(self.get_object())
        except ConnectorError as exc:
            told = {"ok": False, "code": exc.code, "detail": exc.detail, "hint": exc.advice}
            return Response(told)
        return Response({"ok": True, "code": "", "detail": "It was taken.", "hint": ""})

    @extend_schema(responses=DeliverySerializer(many=True))
    @action(detail=True)
    def deliveries(self, request: Request, **_: Any) -> Response:
        """What was sent there, newest first, and how it went."""
        page = self.paginate_queryset(self.get_object().deliveries.all())
        return self.get_paginated_response(DeliverySerializer(page, many=True).data)
