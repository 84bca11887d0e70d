"""Which real accounts ``-m live`` has been given; collected for that only."""

import pytest

from connectors import NetworkPolicy, connect
from connectors.registry import names
from tests.connectors import live


@pytest.mark.live
@pytest.mark.parametrize("provider", names())
def test_a_real_account_can_be_used(provider: str, network: NetworkPolicy) -> None:
    if not live.is_given(provider):
        pytest.skip(f"{live.variable(provider)} is not set: no real account to try")
    account = live.account(provider)
    with connect(provider, account.form, network=network) as connector:
        report = connector.check()
    assert report.ok, report.failure
