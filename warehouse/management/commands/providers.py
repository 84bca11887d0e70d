"""`manage.py providers [name]`: what can be connected to, and what it takes."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console, RenderableType
from rich.table import Table

from connectors.errors import UnknownProvider
from warehouse import providers
from warehouse.providers import Provider


class Command(BaseCommand):
    help = "List the providers; with a name, show its fields and the grants that it needs."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="show this provider's form and grants")

    def handle(self, *args: Any, name: str | None, **options: Any) -> None:
        if name is None:
            self._show(overview(providers.all_of_them()))
            return
        try:
            provider = providers.one(name)
        except UnknownProvider as exc:
            raise CommandError(f"{exc.detail} {exc.advice}") from None
        self._show(fields(provider))
        self.stdout.write("")
        for way in provider.sign_in:
            self.stdout.write(f"Sign in by {way.title}: {', '.join(way.needs)}")
        # As it is, so that it can be copied.
        self.stdout.write(f"\n{provider.grants or 'No script of grants is known.'}")

    def _show(self, what: RenderableType) -> None:
        console = Console(markup=False, highlight=False)
        with console.capture() as said:
            console.print(what)
        self.stdout.write(said.get())


def overview(found: list[Provider]) -> Table:
    """One line a provider."""
    table = _table("provider", "name", "sign in", "price", "the server itself")
    for provider in found:
        facts = provider.capabilities
        kept = {
            "refuses writes": facts.read_only_session,
            "limits time": facts.limits_time,
            "limits bytes": facts.limits_bytes_scanned,
        }
        ways = "\n".join(way.title for way in provider.sign_in)
        keeps = ", ".join(name for name, does in kept.items() if does)
        table.add_row(provider.name, provider.label, ways, facts.cost_basis, keeps)
    return table


def fields(provider: Provider) -> Table:
    """One line a field of the credentials."""
    table = _table("field", "", "what it is")
    form = provider.credentials_form
    for name, field in form["properties"].items():
        marks = ["needed"] if name in form.get("required", ()) else []
        marks += ["secret"] if _is_secret(field) else []
        text = ". ".join(filter(None, (field.get("title"), field.get("description"))))
        table.add_row(name, ", ".join(marks), text)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _is_secret(field: Mapping[str, Any]) -> bool:
    return any(part.get("writeOnly") for part in (field, *field.get("anyOf", ())))
