"""``python -m warehouse.store.engine HOME``: serve one data path until this process is ended.

Started by ``keeper``, which has written the configuration. It is ended by SIGTERM or SIGKILL alike:
nothing that was acknowledged is lost by either.
"""

import ctypes
import os
import signal
import site
import sys
from pathlib import Path
from typing import Any

from warehouse.store.engine import landlock
from warehouse.store.engine.home import Home

_PR_SET_PDEATHSIG = 1

# ClickHouse serves HTTP as long as the script that told it to goes on: its second statement never
# ends. The two are all that the user `default` may run.
_SERVE = """
SYSTEM START LISTEN HTTP;
SELECT count() FROM system.numbers WHERE NOT ignore(sleepEachRow(3))
SETTINGS max_block_size = 1, max_threads = 1
"""


def main() -> int:
    home = Home(Path(sys.argv[1]))
    _die_with_the_keeper()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    closed = landlock.restrict([home.data, home.tmp], _readable(home))
    _say(f"file system {'closed by Landlock' if closed else 'open, no Landlock here'}")
    # Importing chdb starts an engine for a moment; that one must find no configuration.
    os.chdir(home.tmp)
    from chdb import _chdb

    # Its stub knows half of it.
    engine: Any = _chdb
    # The only function that reads files and asks for no right; from here on it is NULL.
    engine.create_function("file", lambda _path: None, ["String"], "String")
    os.chdir(home.run)
    ended = engine.query(_SERVE, "TSV", path=str(home.data))
    _say(f"ended by itself: {ended.error_message()}")
    return 1


def _say(line: str) -> None:
    sys.stderr.write(f"engine: {line}\n")


def _die_with_the_keeper() -> None:
    keeper = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != keeper:
        sys.exit("engine: the keeper is gone")


def _readable(home: Home) -> list[Path]:
    packages = [Path(path) for path in (*site.getsitepackages(), sys.prefix, sys.base_prefix)]
    return [home.run, *packages, *map(Path, landlock.SYSTEM)]


if __name__ == "__main__":
    sys.exit(main())
