"""What a team may set on a connection beside its credentials."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors import registry
from connectors.base import Connector
from connectors.credentials import faults_by_field
from connectors.errors import InvalidInput
from warehouse.hogql.printing.dialects import DIALECTS


class ConnectionConfig(BaseModel):
    """Limits and prices of one connection; what is ``None`` is the service's or the list's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout_s: int | None = Field(
        None, title="Time limit", description="Seconds that a query may take.", ge=1, le=3600
    )
    max_rows: int | None = Field(
        None, title="Row limit", description="Most rows that a query returns.", ge=1
    )
    max_bytes_scanned: int | None = Field(
        None,
        title="Byte limit",
        description="A query that would scan more is refused by the warehouse.",
        ge=0,
    )
    cache_ttl_s: int | None = Field(
        None,
        title="Kept for",
        description="Seconds for which an answer serves others, in mode hybrid; 300 if unset.",
        ge=1,
        le=604_800,
    )
    serve_stale_s: int | None = Field(
        None,
        title="Served while refreshed",
        description="An answer older than that by so many seconds is served and fetched anew.",
        ge=1,
        le=604_800,
    )
    joins_here: bool | None = Field(
        None,
        title="Joins here",
        description="A query over several systems may send few rows of the others to this "
        "warehouse, within its statement, and have them joined there.",
    )
    prices: dict[str, Any] | None = Field(
        None, title="Own prices", description="What is left out is the list's."
    )

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "ConnectionConfig":
        """Raises InvalidInput naming each field at fault."""
        try:
            return cls.model_validate(dict(data))
        except ValidationError as exc:
            raise _unusable(faults_by_field(exc, "config")) from None


def checked(provider: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A config as it is stored; raises InvalidInput, also for what this provider would not keep."""
    config = ConnectionConfig.parse(values)
    connector = registry.provider(provider)
    if config.max_bytes_scanned is not None and not connector.capabilities.limits_bytes_scanned:
        fault = f"{provider} cannot stop a query at a number of bytes."
        raise _unusable({"max_bytes_scanned": fault})
    if config.joins_here and not _reads_given_rows(connector):
        raise _unusable({"joins_here": f"Rows of others cannot be sent to {provider}."})
    stored = config.model_dump(exclude_none=True)
    if own := stored.pop("prices", None):
        stored["prices"] = _checked_prices(provider, own)
    return stored


def schema(provider: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of the config that this provider takes."""
    connector = registry.provider(provider)
    form = ConnectionConfig.model_json_schema()
    fields = form["properties"]
    if not connector.capabilities.limits_bytes_scanned:
        del fields["max_bytes_scanned"]
    if not _reads_given_rows(connector):
        del fields["joins_here"]
    shown = fields.pop("prices")
    if connector.prices_model.amounts():
        prices = connector.prices_model.model_json_schema()
        fields["prices"] = prices | {name: shown[name] for name in ("title", "description")}
    return form


def _reads_given_rows(connector: type[Connector]) -> bool:
    dialect = DIALECTS.get(connector.capabilities.dialect)
    return dialect is not None and dialect.given is not None


def _checked_prices(provider: str, own: Mapping[str, Any]) -> dict[str, Any]:
    model = registry.provider(provider).prices_model
    if not model.amounts():
        raise _unusable({"prices": f"{provider} has no price of a query."})
    try:
        return model.parse(own).given()
    except InvalidInput as exc:
        raise _unusable({f"prices.{name}": text for name, text in exc.fields.items()}) from None


def _unusable(faults: Mapping[str, str]) -> InvalidInput:
    fields = {name if name == "config" else f"config.{name}": text for name, text in faults.items()}
    return InvalidInput("The config cannot be used.", fields=fields)
