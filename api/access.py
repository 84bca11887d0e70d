"""The team in the address: a stranger sees nothing, a teammate what the role allows."""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from warehouse.access import Role, policy


class TeamViewSet(GenericViewSet[Any]):
    """Views under ``/api/environments/<team_id>/``; ``self.team`` is set before any action."""

    roles: ClassVar[dict[str, Role]] = {}
    """Least role for an action; one that is not listed needs ADMIN."""
    team: Any

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        access = policy()
        self.team = access.team(kwargs["team_id"])
        role = None if self.team is None else access.role(request.user, self.team)
        if role is None:
            # Also for a team that exists: its existence is nobody else's business.
            raise NotFound()
        needed = self.roles.get(self.action or "", Role.ADMIN)
        if role < needed:
            raise PermissionDenied(f"This needs the role {needed.name.lower()}.")


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know: a misspelt one must not be dropped in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(data) - {n for n, f in self.fields.items() if not f.read_only})
            if unknown:
                raise serializers.ValidationError(dict.fromkeys(unknown, "There is no such field."))
        return super().to_internal_value(data)
