"""What a contender does in its own process: the work, and a line about what it took.

Imports nothing but Python's own library: it runs in the environments of others too.
"""

import json
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Work = Callable[[], tuple[int | None, int | None]]
"""Does the work that is timed; returns rows and bytes, ``None`` where nobody has counted them."""


def run_contender(work: Work) -> None:
    """Do the work and print what it took, memory from the start of the process."""
    started = time.perf_counter()
    rows, size = work()
    tell(time.perf_counter() - started, rows, size)


def tell(seconds: float, rows: int | None, size: int | None) -> None:
    """Print the line about what was measured."""
    print(
        json.dumps({"seconds": seconds, "peak_rss_mb": peak_rss_mb(), "rows": rows, "bytes": size})
    )


def try_each(move: Callable[[str, Path], object], tables: Sequence[str], folder: Path) -> None:
    """Move each table into a folder of its own; print what went wrong, by table."""
    errors = {}
    for table in tables:
        empty(folder / table)
        try:
            move(table, folder / table)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001  # a panic of Rust's is no Exception
            errors[table] = f"{type(exc).__name__}: {exc}"
    print(json.dumps(errors))


def empty(folder: Path) -> Path:
    """The folder, without what an earlier run has left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def peak_rss_mb() -> float:
    """The most memory that this process has had, or one it has started, in MB of 10^6 bytes.

    Not getrusage's for itself: that starts with what the parent had before this program took its
    place.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return max(int(line.split()[1]), children) * 1024 / 1_000_000
    raise RuntimeError("The kernel does not say how much memory was used.")
