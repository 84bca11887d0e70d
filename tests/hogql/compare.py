"""How values of HogQL compare, for every test that runs it.

A float (what ``/`` and ``avg`` give) to eleven digits, since engines add in different orders; all
others exactly, decimals as numbers, so that 1.50 is 1.5.
"""

import datetime
import math
from decimal import Decimal


def same(ours: object, wanted: object) -> bool:
    """Whether a value is the one wanted; see above."""
    if ours is None or wanted is None:
        return ours is wanted
    if isinstance(ours, float) or isinstance(wanted, float):
        return math.isclose(float(str(ours)), float(str(wanted)), rel_tol=1e-11, abs_tol=1e-15)
    if isinstance(wanted, bool) or isinstance(ours, bool):
        return bool(ours) is bool(wanted)
    if isinstance(wanted, Decimal | int):
        return Decimal(str(ours)) == wanted
    if type(wanted) is datetime.datetime and type(ours) is datetime.datetime:
        return ours.replace(tzinfo=None) == wanted
    return ours == wanted
