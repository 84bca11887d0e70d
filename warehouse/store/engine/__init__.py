"""The embedded engine: ClickHouse's own HTTP server, out of chdb, in a process of its own.

chdb is the whole of ClickHouse as a Python module. It allows one process per data path and does
not survive a fork, so this process alone imports it; everybody else comes over HTTP.
"""
