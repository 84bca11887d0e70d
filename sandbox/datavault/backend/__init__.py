"""The consumer: moves records from the stream to Postgres, and answers Retrieve.

`drain` and `wait_until_stored` are for scripts that need the records to be there.
"""

from sandbox.datavault.backend.writer import Totals, drain, wait_until_stored

__all__ = ["Totals", "drain", "wait_until_stored"]
