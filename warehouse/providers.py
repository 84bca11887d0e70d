"""What a person or a form needs to know of each provider; opens nothing."""

from dataclasses import dataclass
from typing import Any

from connectors import registry
from connectors.base import Connector
from connectors.credentials import SignIn
from warehouse import connection_config


@dataclass(frozen=True)
class Facts:
    """What callers may count on; see Capabilities."""

    dialect: str
    cost_basis: str
    read_only_session: bool
    limits_time: bool
    limits_bytes_scanned: bool


@dataclass(frozen=True)
class Provider:
    """One provider as it is published. The forms are JSON Schema."""

    name: str
    label: str
    capabilities: Facts
    credentials_form: dict[str, Any]
    sign_in: tuple[SignIn, ...]
    example: dict[str, Any]
    grants: str
    config_form: dict[str, Any]


def all_of_them() -> list[Provider]:
    """Every provider that is installed, by name."""
    return [one(name) for name in registry.names()]


def one(name: str) -> Provider:
    """A provider by its name; raises UnknownProvider."""
    connector = registry.provider(name)
    return Provider(
        name=name,
        label=connector.label,
        capabilities=_facts(connector),
        credentials_form=connector.credentials_model.form(),
        sign_in=connector.credentials_model.sign_ins,
        example=connector.credentials_model.example,
        grants=connector.grants,
        config_form=connection_config.schema(name),
    )


def _facts(connector: type[Connector]) -> Facts:
    found = connector.capabilities
    return Facts(
        found.dialect,
        found.cost_basis,
        found.read_only_session,
        found.limits_time,
        found.limits_bytes_scanned,
    )
