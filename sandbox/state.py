"""What runs in a root, told by files and the process table, so that any process can ask."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.files import read_json, write_json
from sandbox.guardian import descendants_of

_HEADINGS = ("service", "state", "pid", "port", "rss")


@dataclass
class Entry:
    """What the supervisor notes about one service."""

    stage: str
    address: str
    guardians: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class ServiceState:
    """One service as it is now; `pid` is its main process, `rss_mb` covers all of them."""

    service: str
    state: str
    pid: int | None
    port: int | None
    rss_mb: float | None


def state_path(root: Path) -> Path:
    return root / "state.json"


def write_entries(root: Path, entries: dict[str, Entry]) -> None:
    """Replace the supervisor's notes in one step."""
    write_json(state_path(root), {name: asdict(entry) for name, entry in entries.items()})


def read_states(root: Path) -> list[ServiceState]:
    """Look at every service of a root; a service noted as ready that has died is `ended`."""
    return [_look(name, Entry(**entry)) for name, entry in read_json(state_path(root)).items()]


def address_of(endpoint: dict[str, Any]) -> str:
    """Return host:port of an endpoint, from its host and port or from the first URL in it."""
    if "host" in endpoint and "port" in endpoint:
        return f"{endpoint['host']}:{endpoint['port']}"
    for value in endpoint.values():
        if isinstance(value, str) and "://" in value:
            parts = urlsplit(value)
            return f"{parts.hostname}:{parts.port}"
    return ""


def table(states: Sequence[ServiceState]) -> str:
    """Return aligned columns with a heading."""
    rows = [_HEADINGS, *(_cells(state) for state in states)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _look(name: str, entry: Entry) -> ServiceState:
    trees = [descendants_of(guardian) for guardian in entry.guardians]
    alive = bool(trees) and all(trees)
    processes = [process for tree in trees for process in tree]
    return ServiceState(
        service=name,
        state="ended" if entry.stage == "ready" and not alive else entry.stage,
        pid=processes[0] if alive else None,
        port=int(entry.address.rpartition(":")[2] or 0) or None,
        rss_mb=sum(map(_rss_mb, processes)) if processes else None,
    )


def _rss_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


def _cells(state: ServiceState) -> tuple[str, ...]:
    return (
        state.service,
        state.state,
        "-" if state.pid is None else str(state.pid),
        "-" if state.port is None else str(state.port),
        "-" if state.rss_mb is None else f"{state.rss_mb:.0f} MB",
    )
