"""The stand-ins, one module each, imported only when asked for."""

import importlib
import pkgutil

from sandbox.errors import SandboxError
from sandbox.services.base import Service


class UnknownService(SandboxError):
    """No module of this folder has the name."""


def available() -> list[str]:
    """List the services that can be started, without importing any."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


def load(name: str) -> type[Service]:
    """Import `sandbox/services/<name>.py` and return the Service it holds."""
    if name not in available():
        raise UnknownService(f"No service {name!r}. There are: {', '.join(available())}.")
    module = importlib.import_module(f"{__name__}.{name}")
    for found in vars(module).values():
        if isinstance(found, type) and issubclass(found, Service) and _is_named(found, name):
            return found
    raise UnknownService(f"{module.__name__} holds no Service with the name {name!r}.")


def _is_named(service: type[Service], name: str) -> bool:
    return getattr(service, "name", None) == name
