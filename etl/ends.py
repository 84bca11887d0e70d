"""The two ends of a pipeline: what a connection has to be able to do there."""

from collections.abc import Iterator
from contextlib import contextmanager

from connectors import registry
from connectors.abilities import BulkLoad, Extract
from connectors.base import Connector
from connectors.errors import Unsupported
from etl.models import Pipeline
from warehouse import connections
from warehouse.store.load.loader import StoreLoad


def source(connector: Connector) -> Extract:
    """The connector as a source; raises Unsupported."""
    if not isinstance(connector, Extract):
        raise Unsupported(f"{connector.label} cannot be the source of a pipeline.")
    return connector


@contextmanager
def destination(pipeline: Pipeline, run: str) -> Iterator[BulkLoad]:
    """The pipeline's destination, closed at the end.

    Raises Unsupported, ConnectionPaused, CredentialsUnreadable; StoreNotConfigured, and
    StoreUnavailable, where it is the store.
    """
    if pipeline.destination is None:
        yield StoreLoad(pipeline.team_id)
        return
    with connections.opened(pipeline.destination, run=run) as connector:
        if not isinstance(connector, BulkLoad):
            raise Unsupported(f"{connector.label} cannot be the destination of a pipeline.")
        yield connector


def loader(pipeline: Pipeline) -> type[BulkLoad]:
    """The class of the pipeline's destination; raises Unsupported."""
    if pipeline.destination is None:
        return StoreLoad
    provider = registry.provider(pipeline.destination.provider)
    if not issubclass(provider, BulkLoad):
        raise Unsupported(f"{provider.label} cannot be the destination of a pipeline.")
    return provider


def label(pipeline: Pipeline) -> str:
    """What people call the pipeline's destination."""
    if pipeline.destination is None:
        return StoreLoad.label
    return registry.provider(pipeline.destination.provider).label
