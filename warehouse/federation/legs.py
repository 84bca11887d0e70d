"""All legs of one run: side by side into the store, ended together."""

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import structlog

from connectors.errors import ConnectorError, QueryCancelled
from connectors.types import Limits, RunStats
from warehouse.federation.leg import LegRun, Room, arranged
from warehouse.federation.planner import STORE_DIALECT, Planned
from warehouse.federation.split import Split
from warehouse.hogql import tree
from warehouse.hogql.printing.printed import Printed
from warehouse.hogql.printing.printer import print_query
from warehouse.hogql.resolved import same
from warehouse.local import StoreRun
from warehouse.runs import total
from warehouse.store import client, ddl, names

log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Legs that run side by side."""
KEYS_LIMITS = Limits(timeout_s=2.0)


class Legs:
    """Their tables in the store are gone when they are closed."""

    def __init__(self, team: Any, split: Split, found: Planned, run_id: str) -> None:
        self.team = team
        self.split = split
        self.found = found
        self.run_id = run_id
        room = Room()
        self._runs = [
            LegRun(
                leg,
                found.connections[leg.source],
                found.dialects[leg.source],
                found.text,
                f"{run_id}-{number}",
                room,
            )
            for number, leg in enumerate(split.legs)
        ]

    def __iter__(self) -> Iterator[LegRun]:
        return iter(self._runs)

    @cached_property
    def printed(self) -> Printed:
        """What the store runs over their rows. Raises HogQLError."""
        return print_query(self.split.query, STORE_DIALECT, self.found.text)

    def bring(self, deadline: float, without: str | None = None) -> None:
        """The rows of every leg that have not come yet, but for those of one source; or the first
        error of one, with the others ended."""
        database = client.create_database(self.team.pk)
        wanted = [leg for leg in self if leg.leg.source != without and not leg.is_brought]
        self._narrow(wanted)
        with ThreadPoolExecutor(AT_ONCE, "leg") as threads:
            if self.split.filters:
                # In this order nobody waits for a leg that has no thread yet.
                known = [leg for leg in self if leg in wanted or leg.is_brought]
                ordered = arranged(known, self.split.filters, estimates(known))
                wanted = [leg for leg in ordered if leg in wanted]
            # Asked here: a thread that looks for no kept answer needs no database.
            kept = [leg.may_keep() for leg in wanted]
            bring = [
                threads.submit(leg.bring, database, deadline, may_keep=may_keep)
                for leg, may_keep in zip(wanted, kept, strict=True)
            ]
            ended, _ = wait(bring, return_when=FIRST_EXCEPTION)
            if any(one.exception() for one in ended):
                self.end()
        errors = [error for one in bring if (error := one.exception()) is not None]
        if errors:
            # Those that were ended for another's sake say nothing new.
            raise next((one for one in errors if not isinstance(one, QueryCancelled)), errors[0])

    def _narrow(self, wanted: Collection[LegRun]) -> None:
        """To the keys that the store's own tables leave of them, where those are known soon:
        without them only more is brought."""
        by_table = {leg.leg.table.name: leg for leg in wanted}
        known: list[tuple[tree.Query, list[Any] | None]] = []
        for one in self.split.stored:
            if one.table not in by_table:
                continue
            if not any(same(query, one.query) for query, _ in known):
                found = self._stored(one.query, f"{self.run_id}-keys-{len(known)}")
                known.append((one.query, found))
            keys = next(keys for query, keys in known if same(query, one.query))
            if keys is not None:
                by_table[one.table].narrow(one.column, keys)

    def _stored(self, query: tree.Query, run_id: str) -> list[Any] | None:
        """The values that the store answers; ``None`` where that takes too long."""
        prepare = partial(print_query, query, STORE_DIALECT, self.found.text)
        run = StoreRun(self.team, prepare, KEYS_LIMITS, run_id)
        try:
            with run:
                run.start()
                found = [key for batch in run for key in batch.column(0).to_pylist()]
        except ConnectorError as exc:
            log.info("keys.not_known", run_id=run_id, code=exc.code)
            return None
        return [key for key in found if key is not None]

    def end(self) -> None:
        """In their warehouses too; from another thread."""
        for leg in self:
            leg.give_up()
        with ThreadPoolExecutor(AT_ONCE, "leg-end") as threads:
            for leg in self:
                threads.submit(leg.cancel)

    def close(self) -> None:
        database = names.database(self.team.pk)
        for leg in self:
            # What cannot be dropped now is swept up later.
            with suppress(ConnectorError):
                client.owner().command(ddl.drop_table(database, leg.leg.table.name))


def estimates(legs: Collection[LegRun]) -> list[float | None]:
    """Of the rows of each."""
    with ThreadPoolExecutor(AT_ONCE, "leg-estimate") as threads:
        return list(threads.map(LegRun.estimated_rows, legs))


def together(own: RunStats, parts: Iterable[RunStats]) -> RunStats:
    """Of a run that has parts: sums over these, ``None`` where one of them does not know."""
    found = list(parts)
    currencies = {one.currency for one in found if one.amount_billed}
    amounts = [one.amount_billed if len(currencies) <= 1 else None for one in found]
    return replace(
        own,
        bytes_scanned=total(one.bytes_scanned for one in found),
        bytes_billed=total(one.bytes_billed for one in found),
        amount_billed=total(amounts),
        currency="".join(currencies) if len(currencies) == 1 else "",
    )
