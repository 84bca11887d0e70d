"""`manage.py seed`: a team with a user and a token for each role, for trying things out."""

import json
import os
import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from knox.models import AuthToken

from warehouse.models import Membership, Team


class Command(BaseCommand):
    help = "Make a team with an admin, an analyst and a viewer; print their logins as JSON, once."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        if {"DATABASE_URL", "DATABASE_URL_FILE"} & os.environ.keys():
            # It gives a user called admin a new password and all rights.
            raise CommandError("seed is for the sandbox's database only: DATABASE_URL is set.")
        team, _ = Team.objects.get_or_create(name="Sandbox team")
        users = {role: _user(team, role) for role in Membership.RoleName.values}
        self.stdout.write(json.dumps({"team_id": str(team.pk), "users": users}))


def _user(team: Team, role: str) -> dict[str, str]:
    """The user of a role with a new password and a new token; earlier tokens end."""
    password = secrets.token_urlsafe(12)
    user, _ = get_user_model().objects.get_or_create(username=role)
    user.set_password(password)
    user.is_staff = user.is_superuser = role == Membership.RoleName.ADMIN
    user.save()
    Membership.all_teams.update_or_create(team=team, user=user, defaults={"role": role})
    AuthToken.objects.filter(user=user).delete()
    _, token = AuthToken.objects.create(user)
    return {"username": role, "password": password, "token": token}
