"""How an action of the admin goes about the rows that were chosen."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from connectors.errors import ConnectorError


def to_each(
    page: ModelAdmin,
    request: HttpRequest,
    queryset: QuerySet[Any],
    done: str,
    act: Callable[[Any], object],
) -> None:
    """Do it to each, and say for each how that went."""
    for one in queryset:
        try:
            act(one)
        except ConnectorError as exc:
            page.message_user(request, f"{one}: {exc.detail}", messages.ERROR)
        else:
            page.message_user(request, f"{one}: {done}.", messages.SUCCESS)
