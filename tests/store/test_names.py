"""What a team is called in the store."""

import uuid

import pytest

from warehouse.store import names


def test_database_is_derived_from_the_id_and_stays() -> None:
    assert names.database(uuid.UUID(int=7)) == "team_64_00000000000000000000000000000007"


def test_teams_have_databases_of_their_own() -> None:
    ids = [
        *range(500),
        *(uuid.UUID(int=n) for n in range(500)),
        "a-b",
        "a_b",
        "A_B",
        "é",
        "",
        "a`b",
    ]
    found = {names.database(team_id) for team_id in ids}
    assert len(found) == len(ids)
    assert all(name.replace("_", "").isalnum() and name.isascii() for name in found)


def test_reader_of_a_seat_reads_the_databases_of_that_seat_only() -> None:
    for team_id in range(2000):
        database, reader = names.database(team_id), names.embedded_reader(team_id)
        seat = int(reader.removeprefix("reader_"), 16)
        assert names.seat_reader(seat) == reader
        assert database.startswith(names.seat_databases(seat).removesuffix("*"))


def test_server_has_a_reader_for_each_team() -> None:
    assert len({names.server_reader(team_id) for team_id in range(2000)}) == 2000


@pytest.mark.parametrize("name", ["plain", "with blank", "back`tick", "back\\slash", "'\"", "é☃"])
def test_name_is_quoted_so_that_it_is_one_name(name: str) -> None:
    quoted = names.quote(name)
    assert quoted[0] == quoted[-1] == "`"
    inner = quoted[1:-1].replace("\\\\", "").replace("\\`", "")
    assert "`" not in inner
    assert "\\" not in inner


@pytest.mark.parametrize("name", ["", "a\x00b"])
def test_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        names.quote(name)
