"""Finding a provider: by the name of its file here, or by an entry point of another package."""

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points

import connectors.providers
from connectors.base import Connector
from connectors.errors import UnknownProvider

ENTRY_POINTS = "warehouse.connectors"


@cache
def names() -> tuple[str, ...]:
    """Every provider that can be asked for, sorted. Imports none of them."""
    files = {module.name for module in pkgutil.iter_modules(connectors.providers.__path__)}
    return tuple(sorted(files | set(entry_points(group=ENTRY_POINTS).names)))


@cache
def provider(name: str) -> type[Connector]:
    """The connector class of a provider; its SDK is imported only when it connects.

    Raises UnknownProvider.
    """
    if name not in names():
        known = ", ".join(names())
        raise UnknownProvider(
            "There is no such provider.", hint=f"Use one of: {known}.", fields={"provider": name}
        )
    external = entry_points(group=ENTRY_POINTS, name=name)
    if external:
        return _checked(next(iter(external)).load())
    module = importlib.import_module(f"connectors.providers.{name}")
    return _checked(module.CONNECTOR)


def _checked(found: object) -> type[Connector]:
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise TypeError(f"{found!r} is not a Connector class")
    return found
