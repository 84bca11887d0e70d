"""The admin of pipelines and their runs."""

import dataclasses
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from etl import (
    alert_admin,  # noqa: F401 registers its pages
    pipelines,
    schedule,
    steering,
    view_admin,  # noqa: F401 likewise
)
from etl.admin_actions import to_each
from etl.models import Pipeline, PipelineRun, PipelineTable, TableRun, Trigger
from etl.pipelines import TableSpec


class PipelineTableFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """Judged as the API judges it."""

    def clean(self) -> None:
        super().clean()
        pipeline: Pipeline = self.instance
        if any(self.errors) or not pipeline.source_id:
            return
        rows = [form.cleaned_data for form in self.forms if form.cleaned_data]
        names = [field.name for field in dataclasses.fields(TableSpec)]
        specs = [
            TableSpec(**{name: row[name] for name in names})
            for row in rows
            if not row.get("DELETE")
        ]
        for fault in pipelines.table_faults(pipeline, specs).values():
            raise forms.ValidationError(fault)


class PipelineTableInline(TabularInline):
    model = PipelineTable
    formset = PipelineTableFormSet
    extra = 0
    fields = (
        *("source_schema", "source_table", "destination_table", "mode", "cursor_column"),
        *("sweep_hours", "deletes", "delete_limit_percent", "columns", "key_columns"),
    )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # A changed row would keep the watermark of another table; it can be taken away and added.
        return False


class PipelineForm(forms.ModelForm):  # type: ignore[type-arg]
    """Judged as the API judges it, so that nothing is half saved."""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            for name, fault in self._faults(data).items():
                self.add_error(name, fault)
        return data

    def _faults(self, data: dict[str, Any]) -> dict[str, str]:
        names = ("team", "source", "destination", "destination_schema", "stage", "schedule")
        return pipelines.faults(Pipeline(**{name: data[name] for name in names}))


@admin.register(Pipeline)
class PipelineAdmin(ModelAdmin):
    form = PipelineForm
    list_display = ("name", "team", "source", "destination", "schedule", "is_active")
    list_filter = ("is_active",)
    list_select_related = ("team", "source", "destination")
    search_fields = ("name",)
    fields = (
        *("team", "name", "source", "destination", "destination_schema", "stage"),
        *("contract", "quarantine_limit", "schedule", "is_active", "max_source_load"),
        "max_source_mb_s",
        "stale_after_minutes",
    )
    # Switched by the actions, which have to see to the run that is open.
    readonly_fields = ("is_active",)
    inlines = (PipelineTableInline,)
    actions = ("run", "pause", "resume", "refresh")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        schedule.apply(form.instance)

    def delete_model(self, request: HttpRequest, obj: Pipeline) -> None:
        pipelines.delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pipeline]) -> None:
        for pipeline in queryset:
            pipelines.delete(pipeline)

    @admin.action(description="Run now")
    def run(self, request: HttpRequest, queryset: QuerySet[Pipeline]) -> None:
        to_each(
            self, request, queryset, "queued", lambda one: pipelines.request_run(one, Trigger.API)
        )

    @admin.action(description="Read whole, in place of what the target has")
    def refresh(self, request: HttpRequest, queryset: QuerySet[Pipeline]) -> None:
        to_each(self, request, queryset, "queued", lambda one: steering.refresh(one, Trigger.API))

    @admin.action(description="Pause")
    def pause(self, request: HttpRequest, queryset: QuerySet[Pipeline]) -> None:
        to_each(self, request, queryset, "paused", steering.pause)

    @admin.action(description="Resume")
    def resume(self, request: HttpRequest, queryset: QuerySet[Pipeline]) -> None:
        to_each(self, request, queryset, "resumed", steering.resume)


class TableRunInline(TabularInline):
    model = TableRun
    extra = 0
    can_delete = False
    fields = (
        *("table", "step", "rows", "bytes_staged", "chunks", "chunks_staged", "rows_in_target"),
        *("quarantined", "drift", "note", "extract_s", "load_s", "cost", "as_of"),
    )
    readonly_fields = fields


@admin.register(PipelineRun)
class PipelineRunAdmin(ModelAdmin):
    list_display = (
        *("pipeline", "status", "trigger", "attempts", "started_at", "finished_at"),
        *("error_code", "is_refresh"),
    )
    list_filter = ("status", "trigger")
    list_select_related = ("pipeline",)
    inlines = (TableRunInline,)
    actions = ("retry", "cancel")

    @admin.action(description="Retry", permissions=["steer"])
    def retry(self, request: HttpRequest, queryset: QuerySet[PipelineRun]) -> None:
        to_each(self, request, queryset, "queued", steering.retry)

    @admin.action(description="Cancel", permissions=["steer"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[PipelineRun]) -> None:
        to_each(self, request, queryset, "cancelled", steering.cancel)

    def has_steer_permission(self, request: HttpRequest) -> bool:
        # Nobody changes a run by hand; who may change pipelines may say what becomes of it.
        return request.user.has_perm("etl.change_pipeline")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
