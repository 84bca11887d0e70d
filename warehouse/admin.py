"""The admin of teams and connections. No form or page ever holds a stored credential."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget

from connectors.errors import ConnectorError
from connectors.types import CheckReport
from warehouse import conf, connection_config, connection_test, connections
from warehouse.connections import Draft
from warehouse.errors import NameTaken
from warehouse.models import Membership, Team, WarehouseConnection


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


class TeamAdmin(ModelAdmin):
    list_display = ("name", "id", "created_at")
    search_fields = ("name",)
    inlines = (MembershipInline,)


if conf.TEAM_MODEL == "warehouse.Team":
    admin.site.register(Team, TeamAdmin)


class ObjectField(forms.JSONField):
    """A JSON object; left empty, an empty one."""

    def clean(self, value: Any) -> dict[str, Any]:
        found = super().clean(value) or {}
        if not isinstance(found, dict):
            raise forms.ValidationError("Enter a JSON object.")
        return found


class WriteOnlyTextarea(UnfoldAdminTextareaWidget):
    """Takes what is typed and shows nothing, not even again after a mistake elsewhere."""

    def format_value(self, value: Any) -> str:
        return ""


class ConnectionForm(forms.ModelForm):  # type: ignore[type-arg]
    """Credentials are typed in and never shown again; left empty, they stay as they are."""

    config = ObjectField(required=False, widget=UnfoldAdminTextareaWidget())
    credentials = ObjectField(
        required=False,
        widget=WriteOnlyTextarea(attrs={"autocomplete": "off"}),
        help_text="The provider's fields as a JSON object. Fields left out keep their value; "
        "null takes one away.",
    )

    class Meta:
        model = WarehouseConnection
        fields = ("team", "name", "provider", "mode", "config", "is_active")

    def clean(self) -> dict[str, Any]:
        """Judge the whole connection as the API does, so that nothing is half saved."""
        data = super().clean() or {}
        if self.errors:
            return data
        try:
            provider = data.get("provider") or self.instance.provider
            connection_config.checked(provider, data["config"])
            self._check_credentials(data)
        except ConnectorError as exc:
            faults = "; ".join(f"{name}: {text}" for name, text in exc.fields.items())
            raise forms.ValidationError(f"{exc.detail} {faults or exc.advice}") from None
        if self._name_is_taken(data):
            self.add_error("name", NameTaken.message)
        return data

    def _check_credentials(self, data: dict[str, Any]) -> None:
        new = data["credentials"]
        if self.instance._state.adding:
            connections.checked_credentials(data["provider"], new)
        elif new:
            merged = connections.merged_credentials(self.instance, new)
            connections.checked_credentials(self.instance.provider, merged)

    def _name_is_taken(self, data: dict[str, Any]) -> bool:
        rows = WarehouseConnection.objects.for_team(data.get("team") or self.instance.team_id)
        return rows.filter(name=data["name"]).exclude(pk=self.instance.pk).exists()


@admin.register(WarehouseConnection)
class WarehouseConnectionAdmin(ModelAdmin):
    form = ConnectionForm
    list_display = (
        "name",
        "team",
        "provider",
        "mode",
        "target",
        "is_active",
        "last_test_status",
        "last_tested_at",
    )
    list_filter = ("provider", "mode", "is_active", "last_test_status")
    search_fields = ("name", "target")
    list_select_related = ("team",)
    readonly_fields = (
        "target",
        "created_by",
        "created_at",
        "updated_at",
        "last_tested_at",
        "last_test_status",
        "last_test_error",
    )
    actions = ("test", "pause", "resume")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = ("team", "provider") if obj else ()
        return (*self.readonly_fields, *fixed)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        data = form.cleaned_data
        values = {name: data[name] for name in ("name", "mode", "config", "credentials")}
        if not change:
            draft = Draft.of(provider=data["provider"], **values)
            obj.pk, values = connections.create(data["team"], request.user, draft).pk, {}
        connections.update(obj, {**values, "is_active": data["is_active"]})
        obj.refresh_from_db()

    @admin.action(description="Test")
    def test(self, request: HttpRequest, queryset: QuerySet[WarehouseConnection]) -> None:
        for connection in queryset:
            try:
                report = connection_test.of(connection).run()
            except ConnectorError as exc:
                self.message_user(request, f"{connection}: {exc.detail}", messages.ERROR)
                continue
            level, verdict = _verdict(report)
            said = format_html("{}: {}<pre>{}</pre>", connection, verdict, _aligned(report))
            self.message_user(request, said, level)

    @admin.action(description="Pause")
    def pause(self, request: HttpRequest, queryset: QuerySet[WarehouseConnection]) -> None:
        self.message_user(request, f"{queryset.update(is_active=False)} paused.")

    @admin.action(description="Resume")
    def resume(self, request: HttpRequest, queryset: QuerySet[WarehouseConnection]) -> None:
        self.message_user(request, f"{queryset.update(is_active=True)} resumed.")


def _verdict(report: CheckReport) -> tuple[int, str]:
    if report.failure is not None:
        return messages.ERROR, f"failed at {report.failure.name}"
    if any(step.warning for step in report.steps):
        return messages.WARNING, "passed, with a warning"
    return messages.SUCCESS, "passed"


def _aligned(report: CheckReport) -> str:
    """The steps, one a line: how it went, name, milliseconds, and what to know of it."""
    width = max(len(step.name) for step in report.steps)
    lines = []
    for step in report.steps:
        sign = "!" if step.warning else "✓" if step.ok else "✗"
        said = " ".join(filter(None, (step.detail, step.hint)))
        lines.append(f"{sign} {step.name:<{width}} {step.ms:>9,.1f} ms  {said}".rstrip())
    return "\n".join(lines)
