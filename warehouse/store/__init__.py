"""The store: ClickHouse, with a database for each team.

``client`` is the way in, for a real server and for the embedded engine alike; ``engine`` is that
engine, a process of its own; ``gate`` decides what of a user's SQL may run, and how it is written.
"""
