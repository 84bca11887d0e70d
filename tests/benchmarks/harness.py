"""What every benchmark does alike: contenders by turns, each in a fresh process, and a report.

A contender is a command that prints one line of JSON as ``contender.run_contender`` makes it. The
report is a table on the screen and, if wanted, JSON:
``{"name", "machine", "cases": [{"case", "who", "seconds": median, "min", "max", "peak_rss_mb",
"rows", "bytes", "ratio_to_floor"}]}``, with what else is known of a contender beside its figures;
``error`` in the place of figures says why there are none.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
FLOOR = "floor"
SHORT_S = 0.1
Figures = dict[str, Any]
COLUMNS = "case who seconds min max peak_rss_mb rows ratio_to_floor".split()


@dataclass(frozen=True)
class Contender:
    """Who takes part, and the arguments of a Python that make it run once.

    ``whole``: the time is that of the process from its start to its end, not what it says itself.
    ``notes`` are told beside the figures.
    """

    who: str
    arguments: tuple[str, ...]
    python: str = sys.executable
    whole: bool = False
    notes: Figures = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One piece of work, done by each contender in turn."""

    name: str
    contenders: tuple[Contender, ...]


@dataclass
class Outcome:
    """What one contender has done in one case, run after run."""

    case: str
    who: str
    notes: Figures = field(default_factory=dict)
    runs: list[Figures] = field(default_factory=list)
    error: str | None = None

    def median(self) -> float | None:
        seconds = [run["seconds"] for run in self.runs]
        return statistics.median(seconds) if seconds else None

    def as_json(self, floor: float | None) -> Figures:
        """The entry of the report; memory is the most that any run took."""
        if not self.runs:
            return {"case": self.case, "who": self.who, "error": self.error, **self.notes}
        seconds = [run["seconds"] for run in self.runs]
        median = statistics.median(seconds)
        return {
            "case": self.case,
            "who": self.who,
            "seconds": round(median, 4),
            "min": round(min(seconds), 4),
            "max": round(max(seconds), 4),
            "peak_rss_mb": round(max(run["peak_rss_mb"] for run in self.runs)),
            "rows": self.runs[-1]["rows"],
            "bytes": self.runs[-1]["bytes"],
            "ratio_to_floor": round(median / floor, 3) if floor else None,
            **self.notes,
        }


class Bench:
    """Runs cases and tells the outcome."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        self.name = name
        self.console = console or Console(highlight=False)
        # Without a terminal there is no width to keep to.
        if not self.console.is_terminal:
            self.console.width = 120
        self.outcomes: list[Outcome] = []
        self.extra: Figures = {}

    def run(self, cases: Sequence[Case], rounds: int, timeout_s: float = 600) -> None:
        """Every contender of a case once, then all of them again, ``rounds`` times."""
        total = rounds * sum(len(case.contenders) for case in cases)
        with self.bar("runs", total) as advance:
            for case in cases:
                outcomes = [Outcome(case.name, one.who, one.notes) for one in case.contenders]
                self.outcomes += outcomes
                for _ in range(rounds):
                    for contender, outcome in zip(case.contenders, outcomes, strict=True):
                        advance(f"{case.name}: {contender.who}")
                        _run_once(contender, outcome, timeout_s)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[str], None]]:
        """A bar that moves on, and says what is being done, whenever what is yielded is called."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(what, total=total)
            begun = False

            def advance(doing: str) -> None:
                nonlocal begun
                progress.update(task, description=doing, advance=int(begun))
                begun = True

            yield advance

    def report(self) -> Figures:
        floors = {one.case: one.median() for one in self.outcomes if one.who == FLOOR}
        cases = [one.as_json(floors.get(one.case)) for one in self.outcomes]
        return {"name": self.name, "machine": machine(), "cases": cases, **self.extra}

    def show(self) -> None:
        table = Table(title=self.name, title_justify="left")
        notes = dict.fromkeys(name for one in self.outcomes for name in one.notes)
        columns = [*COLUMNS, *notes]
        for name in columns:
            table.add_column(name, justify="left" if name in ("case", "who", *notes) else "right")
        for entry in self.report()["cases"]:
            table.add_row(*(_cell(entry, name) for name in columns))
        self.console.print(table)
        for one in self.outcomes:
            if one.error:
                self.console.print(f"{one.case}, {one.who}: {one.error}", markup=False)

    def write(self, path: str | None) -> None:
        """The report as JSON, if a path is given."""
        if path:
            Path(path).write_text(json.dumps(self.report(), indent=2) + "\n")


def _run_once(contender: Contender, outcome: Outcome, timeout_s: float) -> None:
    if outcome.error:
        return
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [contender.python, *contender.arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except (subprocess.TimeoutExpired, FileNotFoundError) as exc:
        outcome.error = (
            str(exc) if isinstance(exc, FileNotFoundError) else f"takes over {timeout_s:.0f} s"
        )
        return
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        outcome.error = lines[-1] if lines else f"ended with status {done.returncode}"
    else:
        figures = json.loads(done.stdout.splitlines()[-1])
        if contender.whole:
            figures["seconds"] = time.perf_counter() - started
        outcome.runs.append(figures)


def _cell(entry: Figures, name: str) -> str:
    value = entry.get(name)
    if value is None:
        return "–"
    if name in ("rows", "peak_rss_mb"):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.2f}" if value >= SHORT_S else f"{value:.4f}"
    return str(value)


def machine() -> Figures:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus": os.cpu_count(),
        "memory_gb": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
