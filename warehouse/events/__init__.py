"""A team's own events and persons in the store: their tables, and how rows come into them."""
