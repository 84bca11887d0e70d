"""The admin of teams and connections. No form or page ever holds a stored credential."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget

from connectors.errors import ConnectorError
from warehouse import conf, connections
from warehouse.connections import ConnectionConfig, Draft
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


class ConnectionForm(forms.ModelForm):  # type: ignore[type-arg]
    """Credentials are typed in and never shown again; left empty, they stay as they are."""

    credentials = forms.JSONField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"autocomplete": "off"}),
        help_text="The provider's fields as a JSON object. Fields left out keep their value.",
    )

    class Meta:
        model = WarehouseConnection
        fields = ("team", "name", "provider", "mode", "config", "is_active")

    def clean(self) -> dict[str, Any]:
        """Judge the whole connection as the API does, so that nothing is half saved."""
        data = super().clean() or {}
        if self.errors:
            return data
        new = data.get("credentials") or {}
        try:
            stored = self.instance.read_credentials() if self.instance.credential_version else {}
            ConnectionConfig.parse(data["config"] or {})
            Draft.of(name=data["name"], provider=data["provider"], credentials={**stored, **new})
        except ConnectorError as exc:
            faults = "; ".join(f"{name}: {text}" for name, text in exc.fields.items())
            raise forms.ValidationError(f"{exc.detail} {faults or exc.advice}") from None
        return data


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
        values = {
            "name": data["name"],
            "mode": data["mode"],
            "config": data["config"] or {},
            "credentials": data.get("credentials") or {},
        }
        if change:
            connections.update(obj, {**values, "is_active": data["is_active"]})
            return
        saved = connections.create(
            data["team"], request.user, Draft.of(provider=data["provider"], **values)
        )
        obj.pk = saved.pk
        obj.refresh_from_db()

    @admin.action(description="Test")
    def test(self, request: HttpRequest, queryset: QuerySet[WarehouseConnection]) -> None:
        for connection in queryset:
            try:
                report = connections.test(connection)
            except ConnectorError as exc:
                self.message_user(request, f"{connection}: {exc.detail}", messages.ERROR)
                continue
            failure = report.failure
            text = f"failed at {failure.name}: {failure.detail}" if failure else "passed"
            level = messages.ERROR if failure else messages.SUCCESS
            self.message_user(request, f"{connection}: {text}", level)

    @admin.action(description="Pause")
    def pause(self, request: HttpRequest, queryset: QuerySet[WarehouseConnection]) -> None:
        self.message_user(request, f"{queryset.update(is_active=False)} paused.")

    @admin.action(description="Resume")
    def resume(self, request: HttpRequest, queryset: QuerySet[WarehouseConnection]) -> None:
        self.message_user(request, f"{queryset.update(is_active=True)} resumed.")
