"""The client over its real wire: rows in, rows out, errors, limits, ends."""

import pyarrow as pa
import pytest

from connectors import errors
from tests.store.conftest import OURS
from tests.store.running import Engine
from warehouse.store import client, ddl, queries


def test_it_answers(store: Engine) -> None:
    assert client.answers()
    database = client.create_database(OURS)
    owner = client.owner()
    owner.command(ddl.create_table(database, "n", [("id", "Int64"), ("s", "String")], ["id"]))
    schema = pa.schema([("id", pa.int64()), ("s", pa.string())])
    batch = pa.record_batch([[1, 2], ["a", "b"]], schema=schema)
    assert owner.insert(database, "n", schema, [batch], once="x") == 2
    assert (
        queries.run(OURS, "SELECT * FROM n ORDER BY id").read_all().to_pylist() == batch.to_pylist()
    )
    with pytest.raises(errors.DataError):
        for _ in queries.run(OURS, "SELECT intDiv(1, id - 1) FROM n"):
            pass
