"""`python -m sandbox.databricks SETTINGS`: run the bridge in the foreground."""

import logging
import sys
from pathlib import Path

from sandbox.databricks.settings import BadSettings, load


def main(arguments: list[str]) -> int:
    """Serve until a signal comes; return 2 with a sentence when the settings cannot be used."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        settings = load(Path(arguments[0]))
    except (BadSettings, IndexError) as error:
        sys.stderr.write(f"{error if arguments else 'Name the settings file.'}\n")
        return 2
    # Not at the top: bad settings are told at once, without loading all of Thrift.
    from sandbox.databricks.server import serve

    serve(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
