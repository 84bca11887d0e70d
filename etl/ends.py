"""The two ends of a pipeline: what a connection has to be able to do there."""

from connectors import registry
from connectors.abilities import BulkLoad, Extract
from connectors.base import Connector
from connectors.errors import Unsupported
from etl.models import Pipeline


def source(connector: Connector) -> Extract:
    """The connector as a source; raises Unsupported."""
    if not isinstance(connector, Extract):
        raise Unsupported(f"{connector.label} cannot be the source of a pipeline.")
    return connector


def destination(connector: Connector) -> BulkLoad:
    """The connector as a destination; raises Unsupported."""
    if not isinstance(connector, BulkLoad):
        raise Unsupported(f"{connector.label} cannot be the destination of a pipeline.")
    return connector


def loader(pipeline: Pipeline) -> type[BulkLoad]:
    """The class of the pipeline's destination; raises Unsupported."""
    provider = registry.provider(pipeline.destination.provider)
    if not issubclass(provider, BulkLoad):
        raise Unsupported(f"{provider.label} cannot be the destination of a pipeline.")
    return provider
