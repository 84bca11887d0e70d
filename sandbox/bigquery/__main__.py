"""`python -m sandbox.bigquery`: serve the stand-in that the settings file describes."""

import os
import sys
from pathlib import Path

from sandbox.bigquery.settings import BadSettings, load

SETTINGS_VARIABLE = "SANDBOX_BIGQUERY_SETTINGS"


def main() -> int:
    """Serve until a signal comes; return 2 with a sentence when the settings cannot be used."""
    given = os.environ.get(SETTINGS_VARIABLE)
    if not given:
        sys.stderr.write(f"{SETTINGS_VARIABLE} must name the settings file.\n")
        return 2
    try:
        settings = load(Path(given))
    except BadSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    from bqemulator.observability.logging_ import LogFormat, LogLevel, configure_logging

    # Before the rest of bqemulator is imported: parts of it log while they are.
    configure_logging(level=LogLevel.WARNING, fmt=LogFormat.JSON)
    from sandbox.bigquery.server import Server

    Server(settings).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
