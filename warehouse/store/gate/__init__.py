"""The gate: a user's SQL is parsed, judged, and written anew; its own text never reaches the store.

    text ─ parse ─ judge each node ─ resolve tables ─ print ─ judge each word of the print

Both judgements are lists of what is allowed, so what nobody has thought of is refused. The second
layer is the store's: a user who may SELECT from one team's database and nothing else.
"""

from warehouse.store.gate.gate import admit

__all__ = ["admit"]
