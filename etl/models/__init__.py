"""Pipelines and what their runs did."""

from etl.models.pipeline import Pipeline, PipelineTable
from etl.models.run import PipelineRun, RunStatus, Step, TableRun, Trigger

__all__ = [
    "Pipeline",
    "PipelineRun",
    "PipelineTable",
    "RunStatus",
    "Step",
    "TableRun",
    "Trigger",
]
