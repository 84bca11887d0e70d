"""The team scope below HTTP: rows are reached through their team, or not at all."""

from typing import Any, TypeVar

from django.db import models

Row = TypeVar("Row", bound=models.Model)


class TeamManager(models.Manager[Row]):
    """``for_team`` is the only way in; anything else raises, so no query forgets its team.

    Code that serves all teams (the admin, schedulers, key rotation) says so by using the
    model's ``all_teams`` manager.
    """

    use_in_migrations = False

    def for_team(self, team: Any) -> models.QuerySet[Row]:
        """The rows of one team."""
        return super().get_queryset().filter(team=team)

    def none(self) -> models.QuerySet[Row]:
        """No rows, which need no team."""
        return super().get_queryset().none()

    def get_queryset(self) -> models.QuerySet[Row]:
        raise LookupError(
            f"{self.model.__name__}.objects needs a team: use for_team(team), "
            "or all_teams where every team is meant."
        )
