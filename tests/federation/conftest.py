"""TPC-H, its tables in several systems at once."""

from tests.api.conftest import _no_session_outlives_its_test, save  # noqa: F401
from tests.hogql.conftest import filled, opened_bare, tpch, tpch_folder  # noqa: F401
from tests.store.conftest import engine, store  # noqa: F401
