"""What can be done to a team's alert channels: the rules, whoever asks (API, admin)."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from connectors import webhook
from connectors.errors import HostRefused, InvalidInput
from etl.models import AlertChannel, AlertEvent, ChannelKind, Pipeline
from warehouse.errors import CredentialsUnreadable, NameTaken

PLAIN = frozenset({"name", "events", "is_active"})


def create(channel: AlertChannel, values: Mapping[str, Any]) -> AlertChannel:
    """Save a new channel; ``values`` as for ``update``, address included. Sends nothing.

    Raises NameTaken, InvalidInput.
    """
    return _put(channel, {"address": "", **values})


def update(channel: AlertChannel, values: Mapping[str, Any]) -> AlertChannel:
    """Apply any of name, address, secret, events, is_active, and pipelines: ids, or ``None`` for
    every one.

    A webhook whose address changes needs its secret again. Raises NameTaken, InvalidInput;
    AlertChannel.DoesNotExist when it was deleted meanwhile.
    """
    with transaction.atomic():
        locked = AlertChannel.objects.for_team(channel.team_id).select_for_update(of=("self",))
        return _put(locked.get(pk=channel.pk), values)


def faults(channel: AlertChannel, values: Mapping[str, Any]) -> dict[str, str]:
    """What keeps the values from being saved, by field."""
    found: dict[str, str] = {}
    if "events" in values and not set(values["events"]) <= set(AlertEvent.values):
        found["events"] = f"Choose from: {', '.join(AlertEvent.values)}."
    if "events" in values and not values["events"]:
        found["events"] = "Choose one at least."
    if values.get("pipelines") is not None:
        wanted = {str(pk) for pk in values["pipelines"]}
        if len(_pipelines(channel, values["pipelines"])) < len(wanted):
            found["pipelines"] = "The team has no such pipeline."
    if "address" in values or "secret" in values:
        found |= _secret_faults(channel, values)
    return found


def _secret_faults(channel: AlertChannel, values: Mapping[str, Any]) -> dict[str, str]:
    if channel.kind == ChannelKind.EMAIL:
        return _email_faults(values)
    found = {}
    if "address" in values:
        try:
            webhook.endpoint_of(values["address"])
        except HostRefused as exc:
            found["address"] = exc.detail
    secret = values.get("secret")
    if secret is None:
        if "address" in values:
            found["secret"] = "Enter it, again where there was one: it signs what is sent there."  # noqa: S105
        return found
    try:
        webhook.secret_of(secret)
    except ValueError as exc:
        found["secret"] = str(exc)
    return found


def _email_faults(values: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    if values.get("secret") is not None:
        found["secret"] = "An e-mail has none."  # noqa: S105
    try:
        validate_email(values.get("address", "a@example.org"))
    except ValidationError:
        found["address"] = "That is no e-mail address."
    return found


def _pipelines(channel: AlertChannel, ids: Sequence[Any]) -> list[Pipeline]:
    return list(Pipeline.objects.for_team(channel.team_id).filter(pk__in=ids))


def _put(channel: AlertChannel, values: Mapping[str, Any]) -> AlertChannel:
    if found := faults(channel, values):
        raise InvalidInput("The alert channel cannot be saved.", fields=found)
    for name in values.keys() & PLAIN:
        setattr(channel, name, values[name])
    if "pipelines" in values:
        channel.every_pipeline = values["pipelines"] is None
    if new := {name: values[name] for name in ("address", "secret") if values.get(name)}:
        _seal(channel, new)
    try:
        with transaction.atomic():
            channel.save()
            if "pipelines" in values:
                channel.pipelines.set(_pipelines(channel, values["pipelines"] or ()))
    except IntegrityError as exc:
        if "alert_channel_name_in_team" not in str(exc):
            raise
        raise NameTaken(fields={"name": "Taken."}) from None
    return channel


def _seal(channel: AlertChannel, new: Mapping[str, str]) -> None:
    try:
        kept = channel.read_credentials() if "address" not in new else {}
    except CredentialsUnreadable:
        raise InvalidInput(
            "The alert channel cannot be saved.",
            fields={"address": "Enter it again: what is stored cannot be read."},
        ) from None
    channel.set_credentials({**kept, **new})
    address = new.get("address")
    if address is None:
        return
    if channel.kind == ChannelKind.EMAIL:
        channel.target = address[:500]
    else:
        found = webhook.endpoint_of(address)
        channel.target = f"{'https' if found.tls else 'http'}://{found.host}:{found.port}"[:500]
