"""How requests are told which connection of a team is meant."""

from typing import Any
from uuid import UUID

from rest_framework.serializers import ValidationError

from warehouse.models import WarehouseConnection


def connection_named(team: Any, name: str, field: str = "connection") -> WarehouseConnection:
    """By its id or name, as they stand in that field; raises ValidationError."""
    of_team = WarehouseConnection.objects.for_team(team)
    try:
        found = of_team.filter(pk=UUID(name)).first()
    except ValueError:
        found = of_team.filter(name=name).first()
    if found is None:
        raise ValidationError({field: "The team has no such connection."})
    return found
