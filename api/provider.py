"""`/api/environments/<team_id>/warehouse_providers/`."""

from dataclasses import asdict
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.access import TeamViewSet
from warehouse import providers
from warehouse.access import Role
from warehouse.providers import Provider


class CapabilitiesSerializer(serializers.Serializer[Any]):
    dialect = serializers.CharField(help_text="The SQL that its queries are written in.")
    cost_basis = serializers.CharField(help_text="How far a price can be trusted at best.")
    read_only_session = serializers.BooleanField(help_text="The server itself refuses writes.")
    limits_time = serializers.BooleanField(help_text="The server itself keeps timeout_s.")
    limits_bytes_scanned = serializers.BooleanField(
        help_text="The server itself keeps max_bytes_scanned."
    )


class SignInSerializer(serializers.Serializer[Any]):
    title = serializers.CharField()
    needs = serializers.ListField(child=serializers.CharField())
    may_have = serializers.ListField(child=serializers.CharField())


class ProviderSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    # Named as a form names it; DRF's fields have an attribute of that name, unused here.
    label = serializers.CharField()  # type: ignore[assignment]
    capabilities = CapabilitiesSerializer()
    credentials_form = serializers.DictField(
        help_text="JSON Schema (2020-12) of the credentials; secret fields are writeOnly."
    )
    sign_in = SignInSerializer(
        many=True, help_text="The ways to sign in, exactly one of which the credentials have."
    )
    example = serializers.DictField(help_text="Credentials as they may look; they open nothing.")
    grants = serializers.CharField(
        help_text="The least rights needed, as a script for the warehouse; fill in the <names>."
    )
    config_form = serializers.DictField(help_text="JSON Schema of a connection's config.")


class ProviderViewSet(TeamViewSet):
    """What connections can be made to, and with which form."""

    serializer_class = ProviderSerializer
    pagination_class = None
    filter_backends = ()
    roles: ClassVar = {"list": Role.VIEWER}

    @extend_schema(responses=ProviderSerializer(many=True))
    def list(self, request: Request, **_: Any) -> Response:
        """Every provider, with its forms for credentials and config."""
        return Response([_shown(provider) for provider in providers.all_of_them()])


def _shown(provider: Provider) -> dict[str, Any]:
    return asdict(provider) | {"sign_in": [way._asdict() for way in provider.sign_in]}
