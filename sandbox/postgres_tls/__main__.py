"""`python -m sandbox.postgres_tls SETTINGS`: serve until a signal comes."""

import asyncio
import sys
from pathlib import Path

from sandbox.files import read_json
from sandbox.postgres_tls.face import serve

if __name__ == "__main__":
    asyncio.run(serve(read_json(Path(sys.argv[1]))))
