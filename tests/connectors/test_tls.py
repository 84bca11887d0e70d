"""Certificates are checked as ``sslmode`` says.

The Postgres of the sandbox has no TLS; its Redshift face has, and speaks the same protocol.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors import Connector
from connectors.errors import InvalidCredentials


@pytest.fixture
def behind_tls(
    opened: Callable[..., Connector], endpoints: dict[str, Any]
) -> Callable[..., Connector]:
    """A Postgres connector to the face."""
    face = {n: endpoints["redshift"][n] for n in "host port database user password".split()}
    return lambda **tls: opened("postgres", **face, **tls)


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
def test_certificate_of_the_given_authority_is_taken(
    behind_tls: Callable[..., Connector], endpoints: dict[str, Any], sslmode: str
) -> None:
    pem = Path(endpoints["redshift"]["sslrootcert"]).read_text()
    assert behind_tls(sslmode=sslmode, sslrootcert=pem).check().ok


@pytest.mark.parametrize("sslmode", ["verify-ca", "verify-full"])
def test_certificate_of_another_authority_is_refused(
    behind_tls: Callable[..., Connector], sslmode: str
) -> None:
    failure = behind_tls(sslmode=sslmode).check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("sign in", "tls_failed")


def test_server_without_tls_is_refused_where_it_is_required(
    opened: Callable[..., Connector],
) -> None:
    failure = opened("postgres", sslmode="require").check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("sign in", "tls_failed")


def test_text_that_is_no_certificate_is_refused(opened: Callable[..., Connector]) -> None:
    with pytest.raises(InvalidCredentials) as refused:
        opened("postgres", sslrootcert="nonsense")
    assert list(refused.value.fields) == ["sslrootcert"]
