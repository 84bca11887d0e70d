"""Real accounts for the contract suite, from environment variables; see docs/connectors.md."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import vendors
from tests.connectors.matrix import Form, Row


@dataclass(frozen=True)
class Account:
    """Where to try a provider for real: credentials, and a schema that is there already."""

    form: Form
    owner: Form
    """Credentials of somebody who may make a table in that schema."""
    schema: str

    @contextmanager
    def table(self, row: Row) -> Iterator[str]:
        """The one table that the tests make there; dropped at the end, whatever happens."""
        name = row.fold(f"numbers_{uuid.uuid4().hex[:12]}")
        with (
            vendors.EXECUTING[row.provider](self.owner) as run,
            row.table(run, f"{self.schema}.{name}"),
        ):
            yield name


def variable(provider: str) -> str:
    """What the account's credentials are looked for under."""
    return f"WAREHOUSE_LIVE_{provider.upper()}"


def is_given(provider: str) -> bool:
    return bool(os.environ.get(variable(provider)))


def account(provider: str) -> Account:
    """The account that the environment names; the test fails when a part of it is missing."""
    name = variable(provider)
    if not (schema := os.environ.get(f"{name}_SCHEMA")):
        pytest.fail(f"{name}_SCHEMA must name the schema that a table may be made in.")
    given = os.environ[name]
    owner = os.environ.get(f"{name}_OWNER", given)
    return Account(_form(given), _form(owner), schema)


def is_wanted(config: pytest.Config) -> bool:
    """The tests were started with ``-m live``."""
    return str(config.option.markexpr).strip() == "live"


def _form(given: str) -> Form:
    text = Path(given[1:]).read_text() if given.startswith("@") else given
    form: Form = json.loads(text)
    return form
