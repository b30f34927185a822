"""Following the status events, as users type it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from daemon.commands import tailing
from daemon.settings import load
from db import events
from tests.fix_daemon import PATIENCE, REPO, environment, specpost
from tests.fix_house import SPEC, a_mail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

    import psycopg

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A specification in a file."""
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC)
    return file


def test_tail_follows_what_happens(daemon: Daemon, spec: Path) -> None:
    """An event is shown when it happens, without being asked for again."""
    specpost("send", str(spec), env=daemon.env)
    tail = subprocess.Popen(
        [sys.executable, "-m", "daemon", "tail", "-f", "-n", "1", "--json"],
        env=environment(daemon.env),
        stdout=subprocess.PIPE,
        cwd=REPO,
    )
    assert tail.stdout
    try:
        assert json.loads(tail.stdout.readline())["phase"] == "PLANNING"
        daemon.mail(a_mail(("spec.yaml", "meta: {}")))
        assert json.loads(tail.stdout.readline())["phase"] == "FAILED"
    finally:
        tail.terminate()
        tail.wait(PATIENCE)
        tail.stdout.close()


def test_tail_skips_nothing_that_comes_while_it_starts(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Between showing the newest events and following there is no gap to fall into."""
    real = events.last

    def write(message: str) -> None:
        with database.connect("daemon") as other:
            events.insert(other, [events.EventRow(phase="BUILD", message=message, metadata={})])

    def last(conn: psycopg.Connection[Any], count: int, spec_id: UUID | None) -> list[events.Event]:
        found = real(conn, count, spec_id)
        write("meanwhile")
        return found

    settings = load(None, {"SPECPOST_STATE_DIR": str(tmp_path), "SPECPOST_DATABASE__URL": database.url})
    monkeypatch.setattr(events, "last", last)
    with tailing.stream(settings, 10, None, follow=True) as following:
        write("later")
        assert next(following).message == "meanwhile"
        assert next(following).message == "later"


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone afterwards, whatever a test found."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_tail_into_head_ends_in_silence(daemon: Daemon) -> None:
    """Who has read enough closes the pipe, and that is no error."""
    for n in range(3):
        daemon.mail(a_mail(("spec.yaml", "meta: {}"), Message_ID=f"<{n}@example.org>"))
    with ended(
        subprocess.Popen(
            [sys.executable, "-u", "-m", "daemon", "tail", "-f"],
            env=environment(daemon.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=REPO,
        )
    ) as tail:
        assert tail.stdout
        assert tail.stderr
        tail.stdout.readline()
        tail.stdout.close()
        daemon.mail(a_mail(("spec.yaml", "meta: {}"), Message_ID="<last@example.org>"))

        assert tail.wait(PATIENCE) != 0
        with tail.stderr:
            assert tail.stderr.read() == b""


def test_ctrl_c_ends_tail_in_silence(daemon: Daemon) -> None:
    """It is the way to end it."""
    daemon.mail(a_mail())
    with ended(
        subprocess.Popen(
            [sys.executable, "-m", "daemon", "tail", "-f"],
            env=environment(daemon.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=REPO,
        )
    ) as tail:
        assert tail.stdout
        tail.stdout.readline()
        tail.send_signal(signal.SIGINT)

        _, told = tail.communicate(timeout=PATIENCE)
        assert (tail.returncode, told) == (0, b"")


def test_tail_of_one_specification_leaves_out_the_others(daemon: Daemon, spec: Path) -> None:
    """Only what was asked for."""
    specpost("send", str(spec), env=daemon.env)
    daemon.mail(a_mail(("spec.yaml", "meta: {}")))
    spec_id = json.loads(specpost("specs", "--json", env=daemon.env).stdout)["id"]

    lines = specpost("tail", "--spec", spec_id, env=daemon.env).stdout.splitlines()

    assert [line.split()[2] for line in lines] == ["SPEC_RECEIVED", "PLANNING"]


def test_a_terminal_escape_in_a_name_does_nothing(daemon: Daemon) -> None:
    """What a stranger writes is shown, not obeyed."""
    daemon.mail(a_mail(("spec\x1b[31m.yaml", SPEC)))

    shown = specpost("tail", env=daemon.env).stdout

    assert "SPEC_RECEIVED" in shown
    assert "\x1b" not in shown
