"""The host's own rules: owners may do anything, staff may look."""

from typing import Any

from tests.host.shop.models import Company
from warehouse.access import Role


class CompanyPolicy:
    """An AccessPolicy; companies are named by their slug."""

    def team(self, team_id: str) -> Company | None:
        return Company.objects.filter(slug=team_id).first()

    def role(self, user: Any, team: Company) -> Role | None:
        if team.owners.filter(pk=user.pk).exists():
            return Role.ADMIN
        return Role.VIEWER if team.staff.filter(pk=user.pk).exists() else None
