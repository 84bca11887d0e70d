"""Write Swift's rings for one device: python -m sandbox.s3.rings FOLDER KIND=PORT ...

A process of its own, because importing Swift brings eventlet along.
"""

import sys
from pathlib import Path

from swift.common.ring import RingBuilder

from sandbox.services.base import LOOPBACK

# Decides where an object's file lies: changing it loses what is stored.
_PART_POWER = 4


def write_ring(folder: Path, kind: str, port: int) -> None:
    """Write `<kind>.ring.gz`, which sends every partition to the one device at `port`."""
    builder = RingBuilder(_PART_POWER, replicas=1, min_part_hours=0)
    builder.add_dev(
        {
            "id": 0,
            "region": 1,
            "zone": 1,
            "ip": LOOPBACK,
            "port": port,
            "device": "dev",
            "weight": 1,
        }
    )
    builder.rebalance(seed="sandbox")
    builder.get_ring().save(str(folder / f"{kind}.ring.gz"))


if __name__ == "__main__":
    for argument in sys.argv[2:]:
        ring_kind, _, ring_port = argument.partition("=")
        write_ring(Path(sys.argv[1]), ring_kind, int(ring_port))
