"""Which format an answer has: by the request's Accept header, or by ``?format=``."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from api import formats, results
from api.fields import choose_from
from api.rows import RowStream
from warehouse.runs import Run

RUN_HEADER = "Query-Run-Id"


class RowsRenderer(JSONRenderer):
    """Names a format to DRF, which lets it write only what is no rows: a problem, in JSON."""

    charset = None
    stream: ClassVar[type[RowStream]] = results.JsonRows

    def render(self, data: Any, *_: Any, **__: Any) -> Any:
        return super().render(data)


class ArrowRenderer(RowsRenderer):
    media_type = "application/vnd.apache.arrow.stream"
    format = "arrow"
    stream = formats.ArrowRows


class CsvRenderer(RowsRenderer):
    media_type = "text/csv"
    format = "csv"
    stream = formats.CsvRows


class ParquetRenderer(RowsRenderer):
    media_type = "application/vnd.apache.parquet"
    format = "parquet"
    stream = formats.ParquetRows


class Negotiation(DefaultContentNegotiation):
    """Refuses a ``?format=`` that the action does not have by the names of those it has."""

    def filter_renderers(
        self,
        renderers: Iterable[BaseRenderer],
        format: str,  # noqa: A002 DRF's name for it
    ) -> list[BaseRenderer]:
        every = list(renderers)
        found = [renderer for renderer in every if renderer.format == format]
        if not found:
            raise ValidationError({"format": choose_from(renderer.format for renderer in every)})
        return found


RENDERERS: tuple[type[BaseRenderer], ...] = (
    RowsRenderer,
    ArrowRenderer,
    CsvRenderer,
    ParquetRenderer,
)
"""Of an action whose answer is rows; JSON is what a client gets who names none."""


def streamed(run: Run, request: Request) -> StreamingHttpResponse:
    """Start the run and answer with its rows; an error before the first of them is raised, with
    the run closed."""
    renderer: Any = request.accepted_renderer
    kind = f"{renderer.media_type}; charset=utf-8" if renderer.format == "csv" else None
    rows = renderer.stream(run, request.META)
    return StreamingHttpResponse(
        rows, content_type=kind or renderer.media_type, headers={RUN_HEADER: run.run_id}
    )
