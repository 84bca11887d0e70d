"""`python -m sandbox.redshift face|issuer`: run that half of the stand-in."""

import asyncio
import os
import sys
from pathlib import Path

from sandbox.redshift.settings import BadSettings, Settings, load

SETTINGS_VARIABLE = "SANDBOX_REDSHIFT_SETTINGS"
HALVES = ("face", "issuer")


def main(arguments: list[str]) -> int:
    """Serve until a signal comes; return 2 with a sentence when that cannot be done."""
    given = os.environ.get(SETTINGS_VARIABLE)
    if len(arguments) != 1 or arguments[0] not in HALVES or not given:
        sys.stderr.write(f"Give one of {', '.join(HALVES)}, and {SETTINGS_VARIABLE}.\n")
        return 2
    try:
        settings = load(Path(given))
    except BadSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    _serve(arguments[0], settings)
    return 0


def _serve(half: str, settings: Settings) -> None:
    # Each half imports what only it needs: moto weighs more than the face.
    if half == "issuer":
        from sandbox.redshift import issuer

        issuer.serve(settings)
    else:
        from sandbox.redshift.face import Face

        asyncio.run(Face(settings).serve())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
