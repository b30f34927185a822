"""Where bytes lie, and that they lie there for good."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from daemon.storage import StoredObject, part_key, plan_key, raw_key
from daemon.storage.files import FileStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIL = UUID("abcdef00-0000-5000-8000-000000000000")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[FileStorage]:
    """Storage in an empty folder."""
    made = FileStorage(tmp_path / "storage")
    yield made
    made.close()


@pytest.fixture
def synced(storage: FileStorage, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The files that were there at each sync from now on; each is a real one."""
    seen: list[set[str]] = []
    real = storage._sync

    def spy() -> None:
        seen.append(
            {str(path.relative_to(storage.root)) for path in storage.root.rglob("*") if path.is_file()}
        )
        real()

    monkeypatch.setattr(storage, "_sync", spy)
    return seen


def test_keys_are_of_one_owner_and_hold_nothing_a_sender_wrote() -> None:
    """Everything of a mail is in one folder, so it can be cleaned without counting references."""
    keys = [raw_key(MAIL), part_key(MAIL, "2.1", "ab" * 32), plan_key(MAIL, 2)]

    assert keys == [
        f"mails/ab/{MAIL}/raw.eml",
        f"mails/ab/{MAIL}/2.1-{'ab' * 32}",
        f"mails/ab/{MAIL}/plan-2.json",
    ]


def test_putting_again_leaves_nothing_beside(storage: FileStorage) -> None:
    """No folder aside stays when files are moved one by one."""
    for content in (b"one", b"two"):
        storage.put([StoredObject("a/b", content)])

    assert [path.relative_to(storage.root) for path in storage.root.rglob("*")] == [Path("a"), Path("a/b")]


def test_a_mail_s_folder_goes_with_its_last_object(storage: FileStorage) -> None:
    """And no folder that others share; nor the root, which would be missed."""
    storage.put([StoredObject(f"mails/ab/x/{name}", b"x") for name in "ab"])
    storage.put([StoredObject("lone", b"x")])

    storage.delete(["mails/ab/x/a"])
    assert storage.path("mails/ab/x").is_dir()

    storage.delete(["mails/ab/x/b", "lone"])
    assert sorted(map(str, storage.root.rglob("*"))) == [
        str(storage.path(name)) for name in ("mails", "mails/ab")
    ]


def test_what_a_kill_left_aside_is_listed_and_can_be_deleted(storage: FileStorage) -> None:
    """Else nobody would ever find it: whether or not a file was written by then."""
    storage.put([StoredObject("mails/ab/x/raw.eml", b"x")])
    for leftover in (".y.0123/raw.eml", ".z.4567"):
        storage.path(f"mails/ab/{leftover}").parent.mkdir(exist_ok=True)
    storage.path("mails/ab/.y.0123/raw.eml").write_bytes(b"half of i")
    storage.path("mails/ab/.z.4567").mkdir()

    listed = {each.key: each for each in storage.list("mails/")}

    left = {key for key in listed if "/." in key}
    assert left == {"mails/ab/.y.0123/raw.eml", "mails/ab/.z.4567/"}
    assert all(each.modified.tzinfo for each in listed.values())
    storage.delete(left)
    assert [path.name for path in storage.path("mails/ab").iterdir()] == ["x"]


def test_a_folder_that_filled_in_the_meantime_is_not_deleted(storage: FileStorage) -> None:
    """A put may be under way in what was listed as empty."""
    storage.path("mails/.z.4567").mkdir(parents=True)
    (listed,) = storage.list()
    storage.path("mails/.z.4567/raw.eml").write_bytes(b"x")

    storage.delete([listed.key])

    assert storage.get("mails/.z.4567/raw.eml") == b"x"


def test_a_folder_in_an_object_s_place_is_no_object(storage: FileStorage) -> None:
    """Nothing is deleted that wasn't put."""
    storage.put([StoredObject("a/b/c", b"x")])

    with pytest.raises(OSError, match="directory"):
        storage.delete(["a/b"])

    assert storage.get("a/b/c") == b"x"


def test_only_the_owner_can_read(storage: FileStorage) -> None:
    """Mails are nobody else's business on a shared machine."""
    storage.put([StoredObject("a/b", b"secret")])

    assert storage.path("a/b").stat().st_mode & 0o077 == 0


def test_a_failed_put_leaves_no_unfinished_file(storage: FileStorage) -> None:
    """What is in the way is reported, and nothing half-written stays."""
    storage.path("a/b").mkdir(parents=True)

    with pytest.raises(OSError, match="directory"):
        storage.put([StoredObject("a/b", b"x")])

    assert [path.name for path in storage.path("a").iterdir()] == ["b"]


def test_what_is_put_is_synced_under_its_name(storage: FileStorage, synced: list[set[str]]) -> None:
    """What a 250 promises survives a power cut."""
    storage.put([StoredObject("mails/ab/x/raw.eml", b"x"), StoredObject("mails/ab/x/plan-1.json", b"y")])

    assert synced == [{"mails/ab/x/raw.eml", "mails/ab/x/plan-1.json"}]


def test_what_is_replaced_is_whole_at_any_time(storage: FileStorage, synced: list[set[str]]) -> None:
    """The new contents are synced aside, then get the names of the old ones, then that is synced."""
    for content in (b"old", b"new"):
        storage.put([StoredObject("mails/ab/x/raw.eml", content)])

    _, contents, names = synced
    assert {"mails/ab/x/raw.eml"} == names == {name for name in contents if "/." not in name}
    assert len(contents) == 2


def test_what_the_file_system_reports_is_an_error(
    storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails while it writes is not taken for one that has written."""
    os.close(storage._handle)

    with pytest.raises(OSError, match="Bad file descriptor"):
        storage.put([StoredObject("a/b", b"x")])

    monkeypatch.setattr(storage, "_handle", os.open(storage.root, os.O_RDONLY))


def test_a_full_disk_keeps_nothing_of_what_it_could_not_take(
    storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the mails that are sent again would fill it for good."""
    room = iter([1, 1])
    real = os.write

    def write(handle: int, content: memoryview) -> int:
        if not next(room, 0):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, content)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        storage.put([StoredObject(f"a/{name}", b"x") for name in "bcd"])

    assert list((storage.root / "a").parent.rglob("*")) == []


def test_a_link_in_the_way_is_replaced_and_not_followed(storage: FileStorage, tmp_path: Path) -> None:
    """Nobody can point our writes elsewhere."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    storage.path("a").mkdir()
    storage.path("a/b").symlink_to(victim)

    storage.put([StoredObject("a/b", b"new")])

    assert victim.read_text() == "untouched"
    assert storage.get("a/b") == b"new"
