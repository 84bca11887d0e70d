"""The admin of alert channels and of what was sent. No page ever holds an address's secret part."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from etl import channels, delivery
from etl.admin_actions import to_each
from etl.models import AlertChannel, AlertDelivery, AlertEvent, Pipeline
from warehouse.admin import WriteOnlyTextarea


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    """Address and secret are typed in and never shown again; left empty, they stay as they are."""

    address = forms.CharField(required=False, widget=WriteOnlyTextarea(attrs={"rows": 1}))
    secret = forms.CharField(required=False, widget=WriteOnlyTextarea(attrs={"rows": 1}))
    events = forms.MultipleChoiceField(
        choices=AlertEvent.choices, initial=AlertEvent.values, widget=forms.CheckboxSelectMultiple
    )
    pipelines = forms.ModelMultipleChoiceField(Pipeline.all_teams.all(), required=False)

    class Meta:
        model = AlertChannel
        fields = ("team", "name", "kind", "events", "every_pipeline", "is_active")

    def clean(self) -> dict[str, Any]:
        """Judged as the API judges it, so that nothing is half saved."""
        data = super().clean() or {}
        if self.errors:
            return data
        channel = self.instance
        if channel._state.adding:
            channel = AlertChannel(team=data["team"], kind=data["kind"])
        for name, fault in channels.faults(channel, self.wanted()).items():
            self.add_error(name, fault)
        return data

    def wanted(self) -> dict[str, Any]:
        """The values as ``channels`` takes them."""
        data = self.cleaned_data
        chosen = [pipeline.pk for pipeline in data["pipelines"]]
        values = {
            "name": data["name"],
            "events": data["events"],
            "is_active": data["is_active"],
            "pipelines": None if data["every_pipeline"] else chosen,
        }
        typed = {name: data[name] for name in ("address", "secret") if data[name]}
        return {**values, **({"address": ""} if self.instance._state.adding else {}), **typed}


@admin.register(AlertChannel)
class AlertChannelAdmin(ModelAdmin):
    form = ChannelForm
    list_display = ("name", "team", "kind", "target", "is_active")
    list_filter = ("kind", "is_active")
    list_select_related = ("team",)
    search_fields = ("name",)
    fields = (
        *("team", "name", "kind", "address", "secret", "events", "every_pipeline", "pipelines"),
        "is_active",
    )
    actions = ("test",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("team", "kind") if obj else ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        save = channels.update if change else channels.create
        saved = save(obj, form.wanted())
        obj.pk = saved.pk

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Saved with the rest."""

    @admin.action(description="Send a test alert")
    def test(self, request: HttpRequest, queryset: QuerySet[AlertChannel]) -> None:
        to_each(self, request, queryset, "it was taken", delivery.try_out)


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(ModelAdmin):
    list_display = ("event", "pipeline", "channel", "status", "attempts", "created_at")
    list_filter = ("status", "event")
    list_select_related = ("pipeline", "channel")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
