"""Hybrid mode: a warehouse's answer is kept for a while, and fetched once for all who want it.

``keys`` says which queries are the same; ``flights`` finds the answer, waits for it, or takes the
fetching of it on; ``keeping`` is such a fetch and ``cached`` an answer that is there; ``cache``
forgets them again. ``run`` puts them together.
"""
