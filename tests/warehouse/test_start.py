"""The service does not start on settings that would leave secrets, or teams, unprotected."""

import base64
import re

import pytest

from tests.service.running import environment, manage
from tests.warehouse.conftest import new_key
from warehouse.models import WarehouseConnection
from warehouse.secrets import Envelope

pytestmark = pytest.mark.django_db(transaction=True)

MATERIAL = base64.b64encode(b"sixteen bytes...").decode()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"WAREHOUSE_KEYS": ""}, "WAREHOUSE_KEYS holds no key."),
        ({"WAREHOUSE_KEYS": MATERIAL}, "Key 1 of WAREHOUSE_KEYS is not of the form id:base64."),
        ({"WAREHOUSE_KEYS": f"k1:{MATERIAL}"}, "Key k1 of WAREHOUSE_KEYS has not 32 bytes."),
        (
            {"WAREHOUSE_KEYS": f"{new_key('k1')},{new_key('k1')}"},
            "WAREHOUSE_KEYS has two keys of id k1.",
        ),
        ({"WAREHOUSE_ALLOWED_PRIVATE_HOSTS": "10.0.0.0/99"}, "WAREHOUSE_ALLOWED_PRIVATE_HOSTS: "),
    ],
    ids=["none", "bare", "short", "twice", "network"],
)
def test_bad_setting_stops_the_start_with_one_sentence(
    changed: dict[str, str], sentence: str
) -> None:
    done = manage("check", env=environment(**changed))
    assert done.returncode != 0
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    keys = re.findall(r":([^,]+)", changed.get("WAREHOUSE_KEYS", ""))
    assert not any(key in done.stderr for key in [MATERIAL, *keys])


def test_wrong_key_is_found_by_the_check_of_the_database(shop: WarehouseConnection) -> None:
    assert manage("check", "--database", "default", env=environment()).returncode == 0
    key_id = Envelope.load(shop.encrypted_credentials).key_id
    wrong = environment(WAREHOUSE_KEYS=new_key(key_id))
    done = manage("check", "--database", "default", env=wrong)
    assert done.returncode != 0
    assert "warehouse.E001" in done.stderr
    assert "Traceback" not in done.stderr
