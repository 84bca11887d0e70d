"""`manage.py rotate_credentials`: wrap every data key with the primary key, while all runs on."""

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from rich.progress import track

from warehouse import secrets
from warehouse.errors import CredentialsUnreadable, KeysUnavailable
from warehouse.models import Sealed


class Command(BaseCommand):
    help = "Re-wrap stored secrets with the first key of the ring; safe to run at any time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        primary = secrets.key_ring().primary
        found = [
            (model, pk)
            for model in apps.get_models()
            if issubclass(model, Sealed)
            for pk in _sealed(model).order_by("pk").values_list("pk", flat=True)
        ]
        unreadable, rotated = [], 0
        silent = not self.stdout.isatty()
        for model, pk in track(found, description="Secrets", transient=True, disable=silent):
            try:
                rotated += _rotate(model, pk, primary, dry_run=dry_run)
            except CredentialsUnreadable:
                unreadable.append(str(pk))
            except KeysUnavailable as exc:
                raise CommandError(f"{exc.detail} {exc.advice}") from exc
        verb = "would be wrapped anew" if dry_run else "wrapped anew"
        kept = len(found) - rotated - len(unreadable)
        self.stdout.write(f"{rotated} {verb} with key {primary}, {kept} had it already.")
        if unreadable:
            raise CommandError("No key of the ring opens the secrets of: " + ", ".join(unreadable))


def _sealed(model: type[Sealed]) -> QuerySet[Sealed]:
    """The rows that hold an envelope."""
    return model._default_manager.exclude(**{model.sealed_as: ""})


def _rotate(model: type[Sealed], pk: Any, primary: str, *, dry_run: bool) -> bool:
    """Re-wrap one row; false when the primary key wraps it already or it is gone."""
    rows, field = _sealed(model).filter(pk=pk), model.sealed_as
    while (row := rows.first()) is not None:
        old = getattr(row, field)
        if secrets.Envelope.load(old).key_id == primary:
            return False
        rewrapped = secrets.rewrap(old, row.secret_context)
        # Written only over what was read, so that secrets changed meanwhile stay; no lock is held
        # while a key service is asked.
        if dry_run or rows.filter(**{field: old}).update(**{field: rewrapped}):
            return True
    return False
