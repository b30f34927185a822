"""What every kind of storage promises, held against each."""

from __future__ import annotations

import hashlib
import string
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.request import urlopen
from uuid import UUID

import pytest

from daemon.storage import StoredObject, objects, part_key, plan_key, raw_key
from daemon.storage.files import FileStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.storage import Storage

MAIL = UUID("abcdef00-0000-5000-8000-000000000000")
#: What Supabase Storage allows in a key, beside the slash.
ALLOWED = string.ascii_letters + string.digits + "_!.*'() &$=@;:+,?-"


@pytest.fixture(params=["file", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """Empty storage of each kind."""
    made: Storage
    if request.param == "file":
        made = FileStorage(tmp_path / "storage")
    else:
        made = request.getfixturevalue("s3").storage()
    with closing(made):
        yield made


def put(storage: Storage, *keys: str) -> None:
    """Put an object under each of ``keys``, which is its content too."""
    storage.put([StoredObject(key, key.encode()) for key in keys])


def keys(storage: Storage, prefix: str = "") -> list[str]:
    """What is listed, in order."""
    return sorted(each.key for each in storage.list(prefix))


def test_bytes_come_back_as_they_were_put(storage: Storage) -> None:
    """Any bytes, and none."""
    objects = [StoredObject(raw_key(MAIL), bytes(range(256))), StoredObject(plan_key(MAIL, 1), b"")]
    storage.put(objects)

    assert [storage.get(each.key) for each in objects] == [bytes(range(256)), b""]


def test_storage_that_works_is_found_to(storage: Storage) -> None:
    """Empty or not."""
    storage.check()
    put(storage, "a/b")
    storage.check()


def test_putting_nothing_is_fine(storage: Storage) -> None:
    """As with a batch of mails that are only counted."""
    storage.put([])

    assert keys(storage) == []


def test_putting_again_changes_nothing_but_the_bytes(storage: Storage) -> None:
    """A batch that is repeated after a failure finds its own objects, and leaves no others."""
    for content in (b"one", b"two"):
        storage.put([StoredObject("a/b", content)])

    assert storage.get("a/b") == b"two"
    assert keys(storage) == ["a/b"]


def test_of_two_with_one_key_the_last_stays(storage: Storage) -> None:
    """Two copies of a mail in one batch, which differ in their trace headers, are one object."""
    storage.put([StoredObject("a/b", b"the first, longer"), StoredObject("a/b", b"second")])

    assert storage.get("a/b") == b"second"


def test_what_is_not_there_is_said_so(storage: Storage) -> None:
    """Whoever asks can tell a missing object from storage that is down."""
    with pytest.raises(FileNotFoundError):
        storage.get(raw_key(MAIL))


def test_other_bytes_than_were_recorded_are_no_mail(storage: Storage) -> None:
    """Whoever knows the hash is never given what rotted, or was changed."""
    storage.put([StoredObject("a/b", b"x")])

    assert storage.get("a/b", hashlib.sha256(b"x").hexdigest()) == b"x"
    with pytest.raises(OSError, match="a/b: these are not the bytes"):
        storage.get("a/b", hashlib.sha256(b"y").hexdigest())


def test_what_is_deleted_is_gone_and_its_neighbour_is_not(storage: Storage) -> None:
    """A mail's objects can go one by one."""
    put(storage, "mails/ab/x/raw.eml", "mails/ab/x/plan-1.json", "mails/ab/y/raw.eml")

    storage.delete(["mails/ab/x/raw.eml", "mails/ab/y/raw.eml"])

    assert keys(storage) == ["mails/ab/x/plan-1.json"]
    with pytest.raises(FileNotFoundError):
        storage.get("mails/ab/x/raw.eml")


def test_deleting_what_is_not_there_is_no_error(storage: Storage) -> None:
    """So that it can be repeated; not even when an object has the name of a folder on the way."""
    put(storage, "a/b")

    storage.delete(["a/b", "a/b", "a/b/c", "x/y"])
    storage.delete([])

    assert keys(storage) == []


def test_more_are_deleted_than_one_request_names(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Request by request."""
    monkeypatch.setattr(objects, "PAGE", 10)
    many = [f"mails/ab/{number}" for number in range(21)]
    put(storage, *many)
    assert len(keys(storage)) == len(many)

    storage.delete(iter(many))

    assert keys(storage) == []


@pytest.mark.long
def test_more_are_listed_than_the_server_gives_at_once(storage: Storage) -> None:
    """S3 gives, and takes, a thousand keys; a page is got when it is wanted."""
    many = {f"mails/ab/{number}" for number in range(objects.PAGE + 1)}
    put(storage, *many)

    assert set(keys(storage)) == many
    storage.delete(many)
    assert keys(storage) == []


def test_what_is_listed_has_its_size_and_its_time(storage: Storage) -> None:
    """By which whoever cleans can spare what was just put."""
    begun = datetime.now(UTC) - timedelta(seconds=2)  # S3 tells whole seconds
    storage.put([StoredObject("a/b", b"12345")])

    (listed,) = storage.list()

    assert (listed.key, listed.size) == ("a/b", 5)
    assert begun <= listed.modified <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ["mails/ab/x/raw.eml", "mails/ab/xy/raw.eml", "mails/cd/z/raw.eml"]),
        ("mails/ab/", ["mails/ab/x/raw.eml", "mails/ab/xy/raw.eml"]),
        ("mails/ab/x", ["mails/ab/x/raw.eml", "mails/ab/xy/raw.eml"]),
        ("mails/ab/x/", ["mails/ab/x/raw.eml"]),
        ("mails/ab/x/raw.eml", ["mails/ab/x/raw.eml"]),
        ("mails/a/", []),
        ("other", []),
    ],
)
def test_a_prefix_chooses_what_is_listed(storage: Storage, prefix: str, found: list[str]) -> None:
    """It may end anywhere in a key."""
    put(storage, "mails/ab/x/raw.eml", "mails/ab/xy/raw.eml", "mails/cd/z/raw.eml")

    assert keys(storage, prefix) == found


def test_a_listing_may_be_deleted_while_it_is_read(storage: Storage) -> None:
    """That is how one cleans without all the keys in memory."""
    put(storage, *(f"mails/{number:02}/x/raw.eml" for number in range(20)))

    for each in storage.list("mails/"):
        storage.delete([each.key])

    assert keys(storage) == []


def test_every_allowed_character_may_be_in_a_key(storage: Storage) -> None:
    """Ours are ids and hashes, but what others have put there must be listed and deleted as well."""
    strange = f"a/{ALLOWED}/b"
    put(storage, strange, part_key(MAIL, "2.1", "ab" * 32))

    assert storage.get(strange) == strange.encode()
    assert keys(storage, "a/") == [strange]
    with urlopen(storage.sign(strange, 60)) as response:  # noqa: S310 - our own URL
        assert response.read() == strange.encode()

    storage.delete([strange])
    assert keys(storage, "a/") == []
