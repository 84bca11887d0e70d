"""The two commands as a person types them."""

import re
from urllib.parse import urlsplit

import grpc
import pytest

from sandbox.datavault.backend import wait_until_stored
from sandbox.datavault.proto.datavault_pb2 import RetrieveRequest
from sandbox.datavault.proto.datavault_pb2_grpc import DataVaultStub
from sandbox.datavault.records import sample_record
from sandbox.datavault.settings import HELP

from .conftest import NO_PROXY, Vault


def test_ingest_then_backend_until_idle(vault: Vault):
    code, out, _ = vault.run("ingest", "--records", "700", "--seed", "4")
    assert code == 0
    assert re.fullmatch(r"700 records sent in \d+\.\d s\n", out)

    code, out, _ = vault.run("backend.main", "--until-idle")
    assert (code, out) == (0, "700 records stored, 0 dead letters\n")
    assert vault.count() == 700


def test_a_thousand_more_and_some_changed(vault: Vault):
    vault.run("ingest", "--records", "100", "--seed", "4")
    vault.run("ingest", "--first", "100", "--records", "1000", "--seed", "4")
    vault.run("backend.main", "--until-idle")
    vault.run("ingest", "--update", "30", "--of", "1100", "--seed", "4")
    vault.run("backend.main", "--until-idle")

    revisions = vault.rows("select metadata->>'revision', count(*) from records group by 1")
    assert sorted(revisions) == [("0", 1_070), ("1", 30)]


def test_records_come_from_a_file(vault: Vault, tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"tenant": "t", "key": "k", "plaintext": "p", "metadata": {"n": 1}}\n')

    assert vault.run("ingest", "--file", str(path))[0] == 0
    vault.run("backend.main", "--until-idle")

    assert vault.rows("select tenant, key, metadata from records") == [("t", "k", {"n": 1})]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not UTF-8"])
def test_a_file_that_cannot_be_read_is_a_sentence(vault: Vault, tmp_path, content):
    path = tmp_path / "records.jsonl"
    if content:
        path.write_bytes(content)

    code, _, err = vault.run("ingest", "--file", str(path))

    assert code == 1
    assert "cannot be read as UTF-8 text" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [["--update", "5"], ["--of", "5"], ["--file", "x", "--update", "1", "--of", "2"]],
)
def test_arguments_that_do_not_go_together_are_refused(vault: Vault, arguments):
    assert vault.run("ingest", *arguments)[0] == 2


def test_migrate_makes_the_table_and_a_second_time_changes_nothing(vault: Vault):
    assert vault.run("backend.main", "--migrate") == (0, "", "")
    assert vault.run("backend.main", "--migrate") == (0, "", "")
    assert vault.count() == 0


def test_the_backend_stores_and_answers_until_sigterm(vault: Vault):
    backend = vault.start("backend.main")
    started = next(line for line in backend.stdout if "backend.started" in line)
    port = re.search(r"grpc_port=(\d+)", started)[1]
    vault.run("ingest", "--records", "10", "--seed", "4")
    wait_until_stored(vault.redis_url)
    record = sample_record(4, 3)

    with grpc.insecure_channel(f"127.0.0.1:{port}", NO_PROXY) as channel:
        answer = DataVaultStub(channel).Retrieve(
            RetrieveRequest(tenant=record.tenant, key=record.key),
            timeout=10,
            metadata=(("authorization", f"Bearer {vault.token}"),),
        )
    assert answer.plaintext == record.plaintext

    backend.terminate()
    out, _ = backend.communicate(timeout=20)
    assert backend.returncode == 0
    assert "stored=10" in out


SECRET = "canary-7f3a"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"DATAVAULT_REDIS_URL": ""}, f"Set DATAVAULT_REDIS_URL: {HELP['DATAVAULT_REDIS_URL']}."),
        ({"DATAVAULT_REDIS_URL": f"http://:{SECRET}@x"}, "DATAVAULT_REDIS_URL is no Redis URL."),
        ({"DATAVAULT_REDIS_URL": f"redis://:{SECRET}/x@127.0.0.1:1/0"}, "DATAVAULT_REDIS_URL is"),
        ({"DATAVAULT_REDIS_URL": f"redis://:{SECRET}@127.0.0.1:1/0"}, "Redis cannot be used"),
        ({"DATAVAULT_KEY": ""}, "Set DATAVAULT_KEY: "),
        ({"DATAVAULT_KEY": SECRET}, "DATAVAULT_KEY cannot be used."),
        ({"DATAVAULT_KEY": "AAAA"}, "DATAVAULT_KEY cannot be used."),
    ],
    ids=[
        "no URL",
        "no Redis URL",
        "slash in password",
        "closed port",
        "no key",
        "no base64",
        "short key",
    ],
)
def test_ingest_with_a_bad_setting_says_what_to_do_and_nothing_secret(
    vault: Vault, changes, sentence
):
    code, out, err = vault.run("ingest", "--records", "10", **changes)

    assert code == 1
    assert err.startswith(f"datavault: {sentence}")
    assert len(err.splitlines()) == 1
    assert SECRET not in out + err


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"DATAVAULT_DATABASE_URL": ""}, "Set DATAVAULT_DATABASE_URL: "),
        ({"DATAVAULT_DATABASE_URL": SECRET}, "DATAVAULT_DATABASE_URL is no Postgres URL."),
        (
            {"DATAVAULT_DATABASE_URL": f"postgresql://u:{SECRET}@127.0.0.1:1/d"},
            "Postgres cannot be used",
        ),
        ({"DATAVAULT_TOKEN": ""}, "Set DATAVAULT_TOKEN: "),
        ({"DATAVAULT_TOKEN": f"{SECRET}-ü"}, "DATAVAULT_TOKEN cannot be used."),
        ({"DATAVAULT_GRPC_ADDRESS": "127.0.0.1:port"}, "Retrieve cannot be served at"),
    ],
    ids=["no URL", "no Postgres URL", "closed port", "no token", "token not ASCII", "no port"],
)
def test_the_backend_with_a_bad_setting_says_what_to_do_and_nothing_secret(
    vault: Vault, changes, sentence
):
    code, out, err = vault.run("backend.main", **changes)

    assert code == 1
    assert f"datavault: {sentence}" in err
    assert "Traceback" not in err
    assert SECRET not in out + err


def test_nothing_secret_is_ever_printed(vault: Vault):
    backend = vault.start("backend.main")
    _, out, err = vault.run("ingest", "--records", "500", "--seed", "4")
    wait_until_stored(vault.redis_url)
    backend.terminate()
    printed = out + err + "".join(backend.communicate(timeout=20))

    environment = vault.environment()
    secrets = {
        environment["DATAVAULT_KEY"],
        vault.token,
        urlsplit(vault.database_url).password,
        sample_record(4, 0).plaintext.decode(),
    }
    assert not {secret for secret in secrets if secret in printed}
