"""Who may do what in a team. A host project can put its own policy here by a setting."""

from enum import IntEnum
from functools import cache
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.utils.module_loading import import_string

from warehouse import conf


class Role(IntEnum):
    """Each role may do what the ones below it may."""

    VIEWER = 10
    """Sees connections, tables and runs."""
    ANALYST = 20
    """Also tests connections, prices and runs queries."""
    ADMIN = 30
    """Also creates, changes and deletes connections, and runs pipelines."""


class AccessPolicy(Protocol):
    """What a host project implements to bring its own users and teams."""

    def team(self, team_id: str) -> Any | None:
        """The team of that id, or ``None``."""
        ...

    def role(self, user: Any, team: Any) -> Role | None:
        """The user's role in the team; ``None`` for a stranger."""
        ...


class MembershipPolicy:
    """Roles out of this app's own Membership rows."""

    def team(self, team_id: str) -> Any | None:
        from warehouse.models import team_model

        model = team_model()
        try:
            return model._default_manager.filter(pk=team_id).first()
        except (ValueError, ValidationError):
            return None

    def role(self, user: Any, team: Any) -> Role | None:
        from warehouse.models import Membership

        if not (user.is_authenticated and user.is_active):
            return None
        name = Membership.objects.for_team(team).filter(user=user).values_list("role", flat=True)
        found = name.first()
        return None if found is None else Role[found.upper()]


@cache
def policy() -> AccessPolicy:
    """The policy that the settings name; raises ImproperlyConfigured when there is none."""
    try:
        made: AccessPolicy = import_string(conf.access_policy())()
    except ImportError as exc:
        raise ImproperlyConfigured(f"WAREHOUSE_ACCESS_POLICY: {exc}.") from exc
    return made
