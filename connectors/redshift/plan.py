"""Reading the text that Redshift's EXPLAIN prints; Postgres prints the same."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from connectors.postgres.plan import READ_AS, UNTOLD, bytes_of
from connectors.prices import RedshiftPrices
from connectors.types import Basis, Estimate

# Leader nodes mark their steps LD, compute nodes XN; both may be missing.
STEP = re.compile(
    r"\s*(?:->\s+)?(?:LD |XN )?(?P<what>\S.*?)\s+"
    r"\(cost=[\d.]+\.\.[\d.]+ rows=(?P<rows>\d+) width=(?P<width>\d+)\)"
)
# Scans of tables, files of an external one among them; not of a subquery, function or CTE.
TABLE_SCAN = re.compile(r"\b(?:Seq|Index|Index Only|Bitmap Heap) Scan\b")
MISSING_STATISTICS = "Tables missing statistics"

PACKED = "Nor is compression."
NO_PRICE = {
    False: "A provisioned cluster bills by the hour it runs, not by query, so there is no price.",
    None: "The host does not tell whether it is serverless, so there is no price.",
}
GUESSED = "Some tables have no statistics: run ANALYZE."


@dataclass(frozen=True)
class Plan:
    """What the planner expects: rows of the result, and bytes of all tables scanned for it.

    Bytes are rows × width of the columns read, before compression; ``None`` where the plan
    cannot be read, or does not tell them.
    """

    rows: int | None
    bytes_scanned: int | None
    guessed: bool
    """Some table has no statistics, and the planner took a default."""


def read(lines: Iterable[str]) -> Plan:
    """The plan that the lines of an EXPLAIN tell."""
    text = list(lines)
    steps = [match for line in text if (match := STEP.fullmatch(line.rstrip()))]
    guessed = any(MISSING_STATISTICS in line for line in text)
    if not steps:
        return Plan(None, None, guessed)
    scans = [step for step in steps if TABLE_SCAN.search(step["what"])]
    read_by_scans = bytes_of([(int(scan["rows"]), int(scan["width"])) for scan in scans])
    return Plan(int(steps[0]["rows"]), read_by_scans, guessed)


def estimate(lines: Iterable[str], serverless: bool | None, prices: RedshiftPrices) -> Estimate:
    """What the plan tells, with a price where queries have one."""
    plan = read(lines)
    price = None
    if serverless and plan.bytes_scanned is not None:
        price = prices.of(plan.bytes_scanned)
    priced_as = str(prices) if serverless else NO_PRICE[serverless]
    read_as = UNTOLD if plan.bytes_scanned is None else f"{READ_AS} {PACKED}"
    sentences = (read_as, priced_as, GUESSED if plan.guessed else "")
    return Estimate(
        bytes_scanned=plan.bytes_scanned,
        rows=plan.rows,
        cost_low=price.low if price else None,
        cost_high=price.high if price else None,
        currency=prices.currency,
        basis=Basis.ROUGH if price else Basis.UNKNOWN,
        explanation=" ".join(filter(None, sentences)),
    )
