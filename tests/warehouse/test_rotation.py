"""`manage.py rotate_credentials`: new wrapping keys while the service runs."""

import threading
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.db import transaction

from tests.warehouse.conftest import UseRing, new_key
from warehouse import accounts, connections, secrets
from warehouse.accounts import Asked
from warehouse.models import CachedResult, WarehouseConnection
from warehouse.secrets import Envelope
from warehouse.statements import Language

pytestmark = pytest.mark.django_db

Save = Callable[..., WarehouseConnection]
OLD, NEW = new_key("old"), new_key("new")


@pytest.fixture(autouse=True)
def _both_keys(use_ring: UseRing) -> None:
    use_ring(WAREHOUSE_KEYS=OLD)


def rotate(*arguments: str) -> str:
    said = StringIO()
    call_command("rotate_credentials", *arguments, stdout=said)
    return said.getvalue().strip()


def key_of(row: WarehouseConnection) -> str:
    row.refresh_from_db()
    return Envelope.load(row.encrypted_credentials).key_id


def test_every_row_gets_the_new_key_and_keeps_its_values(save: Save, use_ring: UseRing) -> None:
    rows = [save(name=f"n{i}") for i in range(3)]
    values = rows[0].read_credentials()
    use_ring(WAREHOUSE_KEYS=f"{NEW},{OLD}")
    fresh = save(name="fresh")
    assert rotate() == "3 wrapped anew with key new, 1 had it already."
    assert {key_of(row) for row in [*rows, fresh]} == {"new"}
    assert rotate() == "0 wrapped anew with key new, 4 had it already."
    use_ring(WAREHOUSE_KEYS=NEW)
    assert rows[0].read_credentials() == values


def test_inputs_of_a_waiting_run_and_of_a_kept_answer_get_it_too(
    save: Save, use_ring: UseRing
) -> None:
    row, inputs = save(), {"params": ["a secret"], "max_rows": None}
    asked = Asked(row.team_id, None, "SELECT %s", Language.NATIVE, "push_down", connection=row)
    waiting = accounts.entry(asked, inputs=inputs)
    for entry in (waiting, accounts.entry(asked)):  # one that does not wait has nothing to open
        accounts.reserve(entry)
    kept = CachedResult(team_id=row.team_id, connection=row, key="k")
    kept.sealed_inputs = secrets.encrypt(inputs, kept.secret_context)
    kept.save()
    use_ring(WAREHOUSE_KEYS=f"{NEW},{OLD}")
    assert rotate() == "3 wrapped anew with key new, 0 had it already."
    use_ring(WAREHOUSE_KEYS=NEW)
    claimed = accounts.claim(str(waiting.pk))
    assert claimed is not None
    assert claimed[1] == inputs
    kept.refresh_from_db()
    assert secrets.decrypt(kept.sealed_inputs, kept.secret_context) == inputs


def test_rotation_is_no_change_of_credentials(save: Save, use_ring: UseRing) -> None:
    row = save()
    before = (row.credential_version, row.updated_at)
    use_ring(WAREHOUSE_KEYS=f"{NEW},{OLD}")
    rotate()
    row.refresh_from_db()
    assert (row.credential_version, row.updated_at) == before


def test_dry_run_counts_and_changes_nothing(save: Save, use_ring: UseRing) -> None:
    row = save()
    use_ring(WAREHOUSE_KEYS=f"{NEW},{OLD}")
    assert rotate("--dry-run") == ("1 would be wrapped anew with key new, 0 had it already.")
    assert key_of(row) == "old"


def test_rows_that_no_key_opens_are_listed_and_the_others_done(
    save: Save, use_ring: UseRing
) -> None:
    use_ring(WAREHOUSE_KEYS=new_key("lost"))
    lost = save(name="lost")
    use_ring(WAREHOUSE_KEYS=OLD)
    kept, broken = save(name="kept"), save(name="broken")
    WarehouseConnection.all_teams.filter(pk=broken.pk).update(encrypted_credentials="{}")
    use_ring(WAREHOUSE_KEYS=f"{NEW},{OLD}")
    for arguments in (["--dry-run"], []):
        with pytest.raises(CommandError) as caught:
            rotate(*arguments)
        assert {str(lost.pk), str(broken.pk)} == set(str(caught.value).split(": ")[1].split(", "))
    assert key_of(kept) == "new"
    assert key_of(lost) == "lost"


@pytest.mark.django_db(transaction=True)
def test_credentials_changed_meanwhile_are_not_overwritten(save: Save, use_ring: UseRing) -> None:
    row = save()
    use_ring(WAREHOUSE_KEYS=f"{NEW},{OLD}")
    errors: list[BaseException] = []

    def rotate_beside() -> None:
        try:
            rotate()
        except BaseException as exc:
            errors.append(exc)
            raise
        finally:
            database.close()

    beside = threading.Thread(target=rotate_beside)
    with transaction.atomic():
        use_ring(WAREHOUSE_KEYS=f"{OLD},{NEW}")
        connections.update(row, {"credentials": {"password": "changed-meanwhile"}})
        use_ring(WAREHOUSE_KEYS=f"{NEW},{OLD}")
        beside.start()
        beside.join(0.5)
        assert beside.is_alive()  # it waits for this transaction
    beside.join(10)
    assert errors == []
    assert key_of(row) == "new"
    assert row.read_credentials()["password"] == "changed-meanwhile"


@pytest.mark.django_db(transaction=True)
def test_row_deleted_meanwhile_is_no_error(
    save: Save, use_ring: UseRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse.management.commands.rotate_credentials import _rotate

    row = save()
    use_ring(WAREHOUSE_KEYS=f"{NEW},{OLD}")
    connections.delete(row)
    assert _rotate(WarehouseConnection, row.pk, "new", dry_run=False) is False
