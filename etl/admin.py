"""The admin of pipelines and their runs."""

import dataclasses
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from connectors.errors import ConnectorError
from etl import pipelines, schedule
from etl.models import Pipeline, PipelineRun, PipelineTable, TableRun, Trigger
from etl.pipelines import TableSpec


class PipelineTableFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """Judged as the API judges it."""

    def clean(self) -> None:
        super().clean()
        pipeline: Pipeline = self.instance
        if any(self.errors) or not (pipeline.source_id and pipeline.destination_id):
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
        *("sweep_hours", "deletes", "delete_limit_percent"),
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
        fields = {name: data[name] for name in ("team", "source", "destination", "schedule")}
        return pipelines.faults(Pipeline(**fields))


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
    )
    inlines = (PipelineTableInline,)
    actions = ("run", "pause", "resume")

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
        for pipeline in queryset:
            try:
                pipelines.request_run(pipeline, Trigger.API)
            except ConnectorError as exc:
                self.message_user(request, f"{pipeline}: {exc.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{pipeline}: queued.", messages.SUCCESS)

    @admin.action(description="Pause")
    def pause(self, request: HttpRequest, queryset: QuerySet[Pipeline]) -> None:
        self._switch(request, queryset, on=False)

    @admin.action(description="Resume")
    def resume(self, request: HttpRequest, queryset: QuerySet[Pipeline]) -> None:
        self._switch(request, queryset, on=True)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Pipeline], *, on: bool) -> None:
        for pipeline in queryset:
            pipelines.update(pipeline, {"is_active": on})
            self.message_user(request, f"{pipeline}: {'resumed' if on else 'paused'}.")


class TableRunInline(TabularInline):
    model = TableRun
    extra = 0
    can_delete = False
    fields = (
        *("table", "step", "rows", "bytes_staged", "chunks", "chunks_staged", "rows_in_target"),
        *("quarantined", "drift", "note"),
    )
    readonly_fields = fields


@admin.register(PipelineRun)
class PipelineRunAdmin(ModelAdmin):
    list_display = ("pipeline", "status", "trigger", "attempt", "started_at", "finished_at")
    list_filter = ("status", "trigger")
    list_select_related = ("pipeline",)
    inlines = (TableRunInline,)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
