"""Events that come over the API, many in one request."""

from collections.abc import Sequence
from datetime import UTC, datetime

from connectors.errors import InvalidInput
from warehouse.events.items import Event, ItemUnfit, event_of
from warehouse.events.persons import apply_sets
from warehouse.events.writing import write_events

MAX_EVENTS = 5_000
MAX_FAULTS = 100


def take(team_id: object, batch: Sequence[object]) -> int:
    """Write every event of a batch, or none; how many. They are on disk when this returns.

    Raises InvalidInput, naming fields as ``batch.<place>.<field>``, and what ``write_events`` does.
    """
    now = datetime.now(UTC)
    events, faults = list[Event](), dict[str, str]()
    for place, item in enumerate(batch):
        try:
            events.append(event_of(item, now))
        except ItemUnfit as exc:
            faults[f"batch.{place}.{exc.field}".rstrip(".")] = exc.reason
    if faults:
        told = dict(list(faults.items())[:MAX_FAULTS])
        raise InvalidInput(f"{len(faults):,} of the events cannot be taken.", fields=told)
    write_events(team_id, events, now)
    apply_sets(team_id, events, now)
    return len(events)
