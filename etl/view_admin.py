"""The admin of views' refreshes: how each ended, and what it cost. Nothing is changed there."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from warehouse.models import ViewRefresh


@admin.register(ViewRefresh)
class ViewRefreshAdmin(ModelAdmin):
    list_display = (
        *("view", "team", "status", "trigger", "started_at", "finished_at", "rows"),
        *("bytes_scanned", "bytes_billed", "amount_billed", "billed_in"),
        *("cost_low", "cost_high", "currency", "basis"),
        "error_code",
    )
    list_filter = ("status", "trigger")
    list_select_related = ("view", "team")
    search_fields = ("view__name",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
