"""A query over several systems: its legs into the store, and the rest of it there."""

import time
from dataclasses import replace

from connectors.types import Limits, RunStats
from warehouse.federation.legs import Legs, together
from warehouse.hogql.printing.printed import Printed
from warehouse.local import StoreRun
from warehouse.runs import Origin


class FederatedRun(StoreRun):
    """To be used as ``DirectRun`` is; it closes its legs."""

    def __init__(self, legs: Legs, limits: Limits) -> None:
        super().__init__(legs.team, self._bring, limits, legs.run_id, legs.found.as_of)
        self.legs = legs

    def _bring(self) -> Printed:
        printed = self.legs.printed
        self.legs.bring(time.monotonic() + self._limits.timeout_s)
        return printed

    @property
    def stats(self) -> RunStats:
        return together(super().stats, [leg.stats for leg in self.legs])

    @property
    def origin(self) -> Origin:
        """As of its oldest part; kept, where no warehouse was asked for any."""
        own, legs = super().origin, [leg.origin for leg in self.legs]
        known = [one for one in legs if one is not None]
        is_kept = len(known) == len(legs) and all(one.cached for one in known)
        return replace(
            own,
            as_of=min([own.as_of, *(one.as_of for one in known)]),
            cached=is_kept,
            age_s=max(one.age_s for one in known) if is_kept else 0.0,
        )

    def cancel(self) -> bool:
        self.legs.end()
        return super().cancel()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.legs.close()
