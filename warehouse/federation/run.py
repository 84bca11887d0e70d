"""A query over several systems: its legs side by side into the store, and the rest of it there."""

import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from connectors.errors import ConnectorError, QueryCancelled
from connectors.types import Limits, RunStats
from warehouse.federation.leg import LegRun, arranged
from warehouse.federation.planner import STORE_DIALECT, Planned
from warehouse.federation.split import Split
from warehouse.hogql import tree
from warehouse.hogql.printing.printer import Printed, print_query
from warehouse.local import StoreRun
from warehouse.runs import Origin
from warehouse.store import client, ddl, names

log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Legs that run side by side."""
KEYS_LIMITS = Limits(timeout_s=2.0)


class FederatedRun(StoreRun):
    """To be used as ``DirectRun`` is. Its tables in the store are gone when it is closed."""

    def __init__(
        self, team: Any, split: Split, found: Planned, limits: Limits, run_id: str
    ) -> None:
        super().__init__(team, self._bring, limits, run_id, found.as_of)
        self._split = split
        self._text = found.text
        self.legs = [
            LegRun(
                leg,
                found.connections[leg.source],
                found.dialects[leg.source],
                found.text,
                f"{run_id}-{number}",
            )
            for number, leg in enumerate(split.legs)
        ]

    def _bring(self) -> Printed:
        """Every leg's rows, or the first error of one, with the others ended."""
        printed = print_query(self._split.query, STORE_DIALECT, self._text)
        database = client.create_database(self._team.pk)
        deadline = time.monotonic() + self._limits.timeout_s
        self._narrow()
        with ThreadPoolExecutor(AT_ONCE, "leg") as threads:
            if self._split.filters:
                estimates = list(threads.map(LegRun.estimated_rows, self.legs))
                # In this order nobody waits for a leg that has no thread yet.
                self.legs = arranged(self.legs, self._split.filters, estimates)
            bring = [threads.submit(leg.bring, database, deadline) for leg in self.legs]
            ended, _ = wait(bring, return_when=FIRST_EXCEPTION)
            if any(one.exception() for one in ended):
                self._end_legs()
        errors = [error for one in bring if (error := one.exception()) is not None]
        if errors:
            # Those that were ended for another's sake say nothing new.
            raise next((one for one in errors if not isinstance(one, QueryCancelled)), errors[0])
        return printed

    def _narrow(self) -> None:
        """Legs to the keys that the store's own tables leave of them, where those are known soon:
        without them only more is brought."""
        by_table = {leg.leg.table.name: leg for leg in self.legs}
        known: list[tuple[tree.Query, list[Any] | None]] = []
        for one in self._split.stored:
            if not any(tree.same(query, one.query) for query, _ in known):
                found = self._stored(one.query, f"{self.run_id}-keys-{len(known)}")
                known.append((one.query, found))
            keys = next(keys for query, keys in known if tree.same(query, one.query))
            if keys is not None:
                by_table[one.table].narrow(one.column, keys)

    def _stored(self, query: tree.Query, run_id: str) -> list[Any] | None:
        """The values that the store answers; ``None`` where that takes too long."""
        prepare = partial(print_query, query, STORE_DIALECT, self._text)
        run = StoreRun(self._team, prepare, KEYS_LIMITS, run_id)
        try:
            with run:
                run.start()
                found = [key for batch in run for key in batch.column(0).to_pylist()]
        except ConnectorError as exc:
            log.info("keys.not_known", run_id=run_id, code=exc.code)
            return None
        return [key for key in found if key is not None]

    @property
    def stats(self) -> RunStats:
        """Sums over the legs; ``None`` where one of them does not know."""
        found = [leg.stats for leg in self.legs]
        return replace(
            super().stats,
            bytes_scanned=_sum([one.bytes_scanned for one in found]),
            bytes_billed=_sum([one.bytes_billed for one in found]),
        )

    @property
    def origin(self) -> Origin:
        """As of its oldest part; kept, where no warehouse was asked for any."""
        own, legs = super().origin, [leg.origin for leg in self.legs if leg.origin is not None]
        is_kept = len(legs) == len(self.legs) and all(one.cached for one in legs)
        return replace(
            own,
            as_of=min([own.as_of, *(one.as_of for one in legs)]),
            cached=is_kept,
            age_s=max(one.age_s for one in legs) if is_kept else 0.0,
        )

    def cancel(self) -> bool:
        self._end_legs()
        return super().cancel()

    def close(self) -> None:
        try:
            super().close()
        finally:
            database = names.database(self._team.pk)
            for leg in self._split.legs:
                # What cannot be dropped now is swept up later.
                with suppress(ConnectorError):
                    client.owner().command(ddl.drop_table(database, leg.table.name))

    def _end_legs(self) -> None:
        for leg in self.legs:
            leg.give_up()
        with ThreadPoolExecutor(AT_ONCE, "leg-end") as threads:
            for leg in self.legs:
                threads.submit(leg.cancel)


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
