"""`manage.py check_sql` and `check_host`: the guards' verdicts, line by line."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

Verdicts = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> Verdicts:
    """Feeds lines to a command and reads its answers."""

    def run(command: str, *lines: str, **options: str) -> list[dict[str, Any]]:
        said = StringIO()
        monkeypatch.setattr("sys.stdin", StringIO("\n".join(lines)))
        call_command(command, stdout=said, **options)
        return [json.loads(line) for line in said.getvalue().splitlines()]

    return run


def test_sql_is_judged_by_a_providers_guard(verdicts: Verdicts) -> None:
    lines = ['{"sql": "SELECT 1"}', "", '{"sql": "SELECT 1; SELECT 2"}', '{"sql": "DROP TABLE x"}']
    found = verdicts("check_sql", *lines, provider="postgres")
    assert [(line["allow"], line["code"]) for line in found] == [
        (True, ""),
        (False, "multiple_statements"),
        (False, "not_a_query"),
    ]
    assert found[1]["reason"]


@pytest.mark.parametrize(
    ("address", "allow", "code"),
    [
        ("93.184.216.34", True, ""),
        ("93.184.216.34:5432", True, ""),
        ("[2606:2800:220:1:248:1893:25c8:1946]:443", True, ""),
        ("2606:2800:220:1:248:1893:25c8:1946", True, ""),
        ("127.0.0.1:1", False, "host_refused"),
        ("::1", False, "host_refused"),
        ("169.254.169.254", False, "host_refused"),
        ("no-such-host.invalid", False, "host_unknown"),
    ],
)
def test_host_is_judged_by_the_network_guard(
    verdicts: Verdicts, address: str, allow: bool, code: str
) -> None:
    (found,) = verdicts("check_host", json.dumps({"host": address}))
    assert (found["allow"], found["code"]) == (allow, code)


def test_url_is_judged_by_its_host(verdicts: Verdicts) -> None:
    lines = [json.dumps({"url": url}) for url in ("https://93.184.216.34/x", "ftp://93.184.216.34")]
    assert [found["allow"] for found in verdicts("check_host", *lines)] == [True, False]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("SELECT 1", "Line 1 is not JSON."),
        ('{"query": "SELECT 1"}', "Line 1 has no text in sql."),
        ('{"sql": 1}', "Line 1 has no text in sql."),
        ("[]", "Line 1 has no text in sql."),
    ],
)
def test_line_that_cannot_be_judged_is_named(verdicts: Verdicts, line: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        verdicts("check_sql", line, provider="postgres")


def test_unknown_provider_is_told_which_there_are(verdicts: Verdicts) -> None:
    with pytest.raises(CommandError, match=r"Use one of: .*postgres"):
        verdicts("check_sql", provider="oracle")
