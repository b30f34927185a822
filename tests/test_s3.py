"""A daemon that keeps its mails in a bucket, from the first byte to what others are told of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.fix_daemon import REPO, environment, new_daemon, specpost
from tests.fix_house import SPEC, a_mail
from tests.fix_s3 import BUCKET, PREFIX, SECRET, refusal
from tests.proxy import proxied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database
    from tests.fix_s3 import S3

#: Two specifications, and a file that belongs to both.
MAIL = a_mail(("spec.yaml", SPEC), ("other.yaml", SPEC.replace("tides", "ebbs")), ("a b.png", b"\x89PNG"))


@pytest.fixture
def daemon(s3: S3, database: Database, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a bucket."""
    variables = {"SPECPOST_DATABASE__URL": database.url} | s3.variables()
    with new_daemon(tmp_path / "daemon", **variables) as running:
        yield running


def counts(database: Database) -> list[int]:
    """How many mails, stored objects and specifications are recorded."""
    with database.connect("owner") as conn:
        tables = ("intake.mails", "intake.parts", "specs", "status_events")
        return [conn.execute(f"select count(*) from {table}".encode()).fetchall()[0][0] for table in tables]


def stored(s3: S3) -> dict[str, bytes]:
    """What lies in the bucket, by its whole key, as the server has it."""
    return {key: found.value for key, found in s3.backend.buckets[BUCKET].keys.items()}


def test_what_is_mailed_lies_in_the_bucket(daemon: Daemon, s3: S3, database: Database) -> None:
    """Under the keys that the index has, and with the prefix those that the control plane is told.

    No reader has the bucket's client: in what reads hostile bytes there is
    no code that could send them anywhere.
    """
    assert daemon.mail(MAIL)[0] == 250

    kept = stored(s3)
    with database.connect("owner") as conn:
        keys = [row[0] for row in conn.execute("select key from intake.parts").fetchall()]
        paths = [row[0] for row in conn.execute("select storage_path from specs").fetchall()]
        told = json.dumps([row[0] for row in conn.execute("select metadata from status_events").fetchall()])
    assert set(kept) == {PREFIX + key for key in keys}
    assert len(keys) == 6
    assert {kept[path] for path in paths} == {SPEC.encode(), SPEC.replace("tides", "ebbs").encode()}
    assert all(key in kept for key in [*_strings(json.loads(told))] if key.startswith(("mails/", PREFIX)))
    assert told.count(f'"{PREFIX}mails/') == 2 * len(["storage_path", "plan_path", "its own", "the file"])
    assert "obstore" in mapped(daemon.process.pid)
    readers = list(below(daemon.process.pid))
    assert readers
    assert not any("obstore" in mapped(pid) for pid in readers)


def test_commands_read_from_the_bucket(daemon: Daemon, s3: S3, database: Database) -> None:
    """A mail to the byte, and URLs of all that belongs to a specification, for anybody and a while.

    An operator is never given other bytes than were sent.
    """
    daemon.mail(MAIL)
    with database.connect("owner") as conn:
        (spec_id,) = conn.execute("select id from specs where repo = 'example/tides'").fetchall()[0]

    exported = subprocess.run(
        [sys.executable, "-m", "daemon", "export", str(spec_id)],
        env=environment(daemon.env),
        capture_output=True,
        cwd=REPO,
        check=True,
    )
    shown = specpost("show", str(spec_id), "--urls", "2h", "--json", env=daemon.env)
    for_people = specpost("show", str(spec_id), "--urls", env=daemon.env)

    assert exported.stdout == MAIL
    urls = json.loads(shown.stdout)["urls"]
    assert [each["name"] for each in urls] == ["spec.yaml", None, "a b.png"]
    assert all("X-Amz-Expires=7200&" in each["url"] for each in urls)
    assert _read(urls[0]["url"]) == SPEC.encode()
    assert json.loads(_read(urls[1]["url"]))
    assert _read(urls[2]["url"]) == b"\x89PNG"
    assert "X-Amz-Expires=86400&" in for_people.stdout
    assert SECRET not in shown.stdout + for_people.stdout + daemon.log_file.read_text()

    raw = next(key for key in stored(s3) if key.endswith("raw.eml"))
    s3.backend.put_object(BUCKET, raw, b"another mail")
    done = specpost("export", str(spec_id), env=daemon.env)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "these are not the bytes that were stored" in done.stderr


def test_a_bucket_that_is_away_defers_and_comes_back_by_itself(
    s3: S3, database: Database, tmp_path: Path
) -> None:
    """At the start, and later; nothing is recorded before its bytes are safe."""
    s3.gate.trouble = lambda _: refusal("503 Slow Down", "SlowDown")
    variables = {"SPECPOST_DATABASE__URL": database.url} | s3.variables()
    with new_daemon(tmp_path / "daemon", **variables) as daemon:
        assert daemon.mail(MAIL)[0] == 451
        assert counts(database) == [0, 0, 0, 0]

        s3.gate.heal()
        assert daemon.mail(MAIL)[0] == 250
        assert counts(database)[0] == 1

        s3.gate.trouble = lambda _: refusal("403 Forbidden", "AccessDenied")
        assert daemon.mail(a_mail(Message_ID="<second@example.org>"))[0] == 451
        assert counts(database)[0] == 1
        s3.gate.heal()
        assert daemon.mail(a_mail(Message_ID="<second@example.org>"))[0] == 250

    told = [line for line in daemon.log() if line["event"] in ("storage down", "storage up")]
    assert [line["event"] for line in told] == ["storage down", *["storage down", "storage up"] * 2]
    assert f"s3://{BUCKET}/made/here at {s3.endpoint}: the server says 503" in told[0]["reason"]
    assert "AccessDenied: whose key it is may not do this" in told[3]["reason"]


def test_a_bucket_that_is_wrong_ends_the_start(s3: S3, database: Database, tmp_path: Path) -> None:
    """With the status after which nobody tries again, and the words to mend it by."""
    env = {"SPECPOST_DATABASE__URL": database.url, "SPECPOST_STATE_DIR": str(tmp_path)}

    done = specpost("run", env=env | s3.variables(secret_access_key="8Zb1nQeTqvLxg2"))

    assert done.returncode == 78
    last = done.stderr.splitlines()[-1]
    assert last.startswith("specpost: [storage] url s3://")
    assert "SignatureDoesNotMatch: the secret is not this key's; mend [storage] access_key_id" in last
    assert "8Zb1nQeTqvLxg2" not in done.stderr
    assert SECRET not in done.stderr


def test_a_folder_needs_no_client_of_buckets() -> None:
    """It is imported where there is a bucket, and nowhere else."""
    code = "import sys; import daemon.service, daemon.cli, daemon.child; print('obstore' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=REPO, check=True)

    assert done.stdout == b"False\n"


@pytest.mark.long
def test_a_bucket_that_falls_silent_defers_within_seconds(s3: S3, database: Database, tmp_path: Path) -> None:
    """Senders aren't kept waiting until they give up, and service resumes by itself."""
    with proxied(s3.host, s3.port) as proxy:
        variables = {"SPECPOST_DATABASE__URL": database.url}
        variables |= s3.variables(endpoint=f"http://{proxy.host}:{proxy.port}")
        with new_daemon(tmp_path / "daemon", **variables) as daemon:
            proxy.black_hole()
            begun = time.monotonic()
            assert daemon.mail(MAIL)[0] == 451
            assert time.monotonic() - begun < 30  # promised: 10 s, and what the bytes take
            assert counts(database) == [0, 0, 0, 0]

            proxy.heal()
            assert daemon.mail(MAIL)[0] == 250


def _read(url: str) -> bytes:
    assert urlsplit(url).query
    with urlopen(url) as response:  # noqa: S310 - our own URL
        content: bytes = response.read()
        return content


def _strings(node: object) -> Iterator[str]:
    """Every text in JSON."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, (list, dict)):
        for each in node.values() if isinstance(node, dict) else node:
            yield from _strings(each)


def mapped(pid: int) -> str:
    """What a process has in its memory, by the names of the files."""
    return Path(f"/proc/{pid}/maps").read_text()


def below(pid: int) -> Iterator[int]:
    """The children of a process, and theirs; whichever of its threads started them."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from below(child)
