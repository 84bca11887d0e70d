"""`python -m sandbox.snowflake CONFIG`: run the server in the foreground."""

import logging
import os
import sys

from sandbox.snowflake.config import BadConfig, load_config


def main() -> int:
    """Return the exit code: 0 after a stop that was asked for, 2 for a bad configuration."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        config = load_config(sys.argv[1:], os.environ)
    except BadConfig as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # Not at the top: a bad configuration is told at once, without loading all of the server.
    from sandbox.snowflake.server import serve

    # What is written here is nobody else's: data, results, spilled rows.
    os.umask(0o077)
    serve(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
