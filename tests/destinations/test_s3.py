"""What is a bucket's own in a load: snapshots, what is removed when, and who may write."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from connectors import NetworkPolicy
from connectors.errors import (
    ConnectorError,
    CredentialsRejected,
    HostRefused,
    InvalidCredentials,
    LoadMismatch,
    LoadSuperseded,
    ResourceUnusable,
    SchemaChanged,
    Unsupported,
)
from connectors.registry import provider
from connectors.s3.bucket import PIECE_BYTES
from connectors.types import Contract, LoadMode
from tests.destinations.conftest import SCHEMA, Staged
from tests.destinations.ends import S3

pytestmark = pytest.mark.parametrize("end", [S3], indirect=True, ids=["s3"])

SWAP, APPEND = LoadMode.SWAP, LoadMode.APPEND


def test_snapshot_tells_a_reader_all_that_is_needed(loader: Any, end: S3, staged: Staged) -> None:
    manifest = staged([(1, "a")], [(2, "b")])
    loader.load(manifest, end.target(mode=SWAP, fence=7), staged.stage)
    assert end.keys("_snapshots/") == [
        f"tests/lake/{end.schema}/orders/_snapshots/000000000001.json"
    ]
    found = end.newest()
    del found["arrow_schema"]
    assert found == {
        "version": 1,
        "rows": 2,
        "columns": {"id": "int64", "word": "string"},
        "files": [
            {
                "key": f"data/{manifest.load_id}-7/0000{n}.parquet",
                "rows": 1,
                "bytes": file.bytes,
                "sha256": file.sha256,
            }
            for n, file in enumerate(manifest.files)
        ],
        "loads": [{"load_id": manifest.load_id, "fence": 7, "rows": 2, "files": 2}],
    }


def test_what_a_load_replaces_is_there_until_the_load_after_it(
    loader: Any, end: S3, staged: Staged
) -> None:
    def snapshots() -> list[int]:
        return [int(key[-17:-5]) for key in sorted(end.keys("_snapshots/"))]

    seen: list[set[str]] = []
    for fence in range(1, 5):
        loader.load(staged([(fence, "a")]), end.target(mode=SWAP, fence=fence), staged.stage)
        seen.append({key.rpartition("/")[0] for key in end.keys("data/")})
        assert snapshots() == list(range(max(1, fence - 1), fence + 1))
    assert [len(folders) for folders in seen] == [1, 2, 2, 2]
    assert len(seen[1] & seen[2]) == 1
    assert end.rows() == [(4, "a")]


def test_what_a_load_that_was_cut_off_has_left_goes_and_what_is_not_ours_stays(
    loader: Any, end: S3, staged: Staged
) -> None:
    folder = f"tests/lake/{end.schema}/orders"
    left, newer = f"{folder}/data/dead-3/00000.parquet", f"{folder}/data/later-9/00000.parquet"
    others = [f"{folder}/data/README", f"{folder}/_snapshots/note.json", f"{folder}/notes"]
    for key in (left, newer, *others):
        end.bucket.put_object(Key=key, Body=b"x")
    begun = end.bucket.Object(f"{folder}/data/dead-3/00001.parquet").initiate_multipart_upload()
    loader.load(staged([(1, "a")]), end.target(mode=SWAP, fence=5), staged.stage)
    there = end.keys()
    assert left not in there
    # It may be on its way.
    assert {newer, *others} <= set(there)
    assert begun.id not in [upload.id for upload in end.bucket.multipart_uploads.all()]
    assert end.rows() == [(1, "a")]


def test_of_loads_at_once_each_is_committed_once_after_another(end: S3, staged: Staged) -> None:
    manifests = [staged([(n, "a")]) for n in range(4)]
    workers = [end.connect() for _ in manifests]

    def load(worker: Any, manifest: Any) -> None:
        worker.load(manifest, end.target(mode=APPEND), staged.stage)

    at_once([lambda w=w, m=m: load(w, m) for w, m in zip(workers, manifests, strict=True)])
    assert end.rows() == [(n, "a") for n in range(4)]
    assert end.newest()["version"] == 4


def test_of_two_workers_with_one_load_one_commits_it(end: S3, staged: Staged) -> None:
    manifest, outcomes = staged([(1, "a")]), list[Any]()

    def load(worker: Any, fence: int) -> None:
        try:
            target = end.target(mode=APPEND, fence=fence)
            outcomes.append(worker.load(manifest, target, staged.stage).already_loaded)
        except LoadSuperseded:
            outcomes.append(True)

    workers = [end.connect() for _ in range(3)]
    at_once([lambda w=w, n=n: load(w, n) for n, w in enumerate(workers)])
    assert sorted(outcomes) == [False, True, True]
    assert end.rows() == [(1, "a")]


def test_file_of_many_pieces_arrives_whole(loader: Any, end: S3, staged: Staged) -> None:
    import os

    rows = [(n, os.urandom(2**20).hex()) for n in range(3 * PIECE_BYTES // 2**20)]
    manifest = staged(rows)
    assert manifest.bytes > 2 * PIECE_BYTES
    loader.load(manifest, end.target(mode=SWAP), staged.stage)
    assert end.rows() == rows


def test_file_that_was_changed_since_loads_nothing(loader: Any, end: S3, staged: Staged) -> None:
    manifest = staged([(1, "a")])
    wrong = replace(manifest, files=(replace(manifest.files[0], sha256="0" * 64),))
    with pytest.raises(LoadMismatch):
        loader.load(wrong, end.target(mode=SWAP), staged.stage)
    assert end.keys("_snapshots/") == []


def test_rows_are_not_merged(loader: Any, end: S3, staged: Staged) -> None:
    for manifest, target in [
        (staged([(1, "a")]), end.target()),
        (staged.changes((0, [(1, "a")], [(2,)])), end.target(mode=SWAP)),
    ]:
        with pytest.raises(Unsupported):
            loader.load(manifest, target, staged.stage)
    assert end.keys() == []


def test_appended_files_of_a_wider_type_widen_the_column(
    loader: Any, end: S3, staged: Staged
) -> None:
    for fence, kind in enumerate((pa.int16(), pa.int64(), pa.int32())):
        schema = pa.schema([SCHEMA.field("id"), pa.field("n", kind)])
        manifest = staged([(fence, fence)], schema=schema)
        loader.load(manifest, end.target(mode=APPEND, fence=fence), staged.stage)
    assert end.newest()["columns"] == {"id": "int64", "n": "int64"}
    assert end.rows() == [(0, 0), (1, 1), (2, 2)]
    text = staged([(3, "x")], schema=pa.schema([SCHEMA.field("id"), pa.field("n", pa.string())]))
    with pytest.raises(SchemaChanged):
        loader.load(text, end.target(mode=APPEND, fence=9), staged.stage)


def test_column_that_was_dropped_is_kept_and_one_left_out_is_not_named(
    loader: Any, end: S3, staged: Staged
) -> None:
    aside = end.target(mode=SWAP, contract=Contract.QUARANTINE)
    loader.load(staged([(1, "a")]), aside, staged.stage)
    other = pa.schema([SCHEMA.field("id"), pa.field("more", pa.int32())])
    loader.load(staged([(1, 5)], schema=other), aside, staged.stage)
    assert (list(end.newest()["columns"]), end.rows()) == (["id", "word"], [(1, None)])


def test_any_name_makes_a_folder_of_its_own(loader: Any, end: S3, staged: Staged) -> None:
    for table in ("a/b", "a%2Fb", "..", "größe", "a b", "_snapshots"):
        target = replace(end.target(mode=SWAP), table=table)
        loader.load(staged([(1, table)]), target, staged.stage)
    found = {
        key.removeprefix(f"tests/lake/{end.schema}/").partition("/")[0]
        for key in (
            one.key for one in end.bucket.objects.filter(Prefix=f"tests/lake/{end.schema}/")
        )
    }
    assert found == {"a%2Fb", "a%252Fb", "%2E%2E", "gr%C3%B6%C3%9Fe", "a%20b", "_snapshots"}


# Signing in


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"secret_access_key": "wrong"}, CredentialsRejected, "secret_access_key"),
        ({"bucket": "no-such-bucket"}, ResourceUnusable, "bucket"),
        ({"endpoint": "http://127.0.0.1:1"}, HostRefused, None),
        ({"endpoint": "http://169.254.169.254"}, HostRefused, None),
        ({"endpoint": "file:///etc/passwd"}, HostRefused, None),
        ({"secret_access_key": None}, InvalidCredentials, "secret_access_key"),
        (
            {"access_key_id": None, "secret_access_key": None, "use_machine_identity": True},
            InvalidCredentials,
            "use_machine_identity",
        ),
    ],
)
def test_what_is_wrong_with_a_form_is_said(
    end: S3, changes: dict[str, Any], error: type[ConnectorError], field: str | None
) -> None:
    form = {name: value for name, value in (end.form() | changes).items() if value is not None}
    end.form = lambda: form  # type: ignore[method-assign]
    with pytest.raises(error) as caught:
        end.connect().has_loaded(end.target())
    assert field is None or field in caught.value.fields


def test_check_goes_through_every_step(loader: Any) -> None:
    report = loader.check()
    assert report.ok
    assert [step.name for step in report.steps][-4:] == [
        *["sign in", "usable", "read", "write refused"]
    ]


def test_public_hosts_that_are_not_amazons_are_refused(end: S3) -> None:
    form = end.form() | {"endpoint": "https://s3.example.com"}
    made = provider("s3")(form, network=NetworkPolicy())
    with pytest.raises(HostRefused):
        made.query("SELECT 1")


def test_there_is_nothing_to_query(loader: Any) -> None:
    for call in (
        lambda: loader.query("SELECT 1"),
        lambda: loader.estimate("SELECT 1"),
        lambda: loader.fetch_tables(),
    ):
        with pytest.raises(Unsupported):
            call()


def at_once(calls: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
