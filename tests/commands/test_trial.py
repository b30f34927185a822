"""``specpost try``: what a newcomer sees, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from daemon.whereabouts import find
from db.embedded import running as embedded
from tests.fix_daemon import PATIENCE, REPO, environment, specpost

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_try_once_shows_the_walk_and_cleans_up(tmp_path: Path) -> None:
    """Everything a newcomer should see, from embedded defaults, and status 0."""
    done = specpost("try", "--once", env={"XDG_STATE_HOME": str(tmp_path)}, timeout=120)

    assert done.returncode == 0, done.stderr
    assert "S: 250 2.0.0 spec=" in done.stdout
    assert "example/tide-table@main" in done.stdout
    assert all(word in done.stderr for word in ("SPEC_RECEIVED", "PLANNING", "ready", "stopped"))
    kept = Path(urlsplit(done.stdout.splitlines()[-1]).path)
    assert kept.read_bytes() == (REPO / "daemon" / "example.yaml").read_bytes()
    assert not list(tmp_path.rglob("postmaster.pid"))


@contextmanager
def trying(state: Path, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """``specpost try`` at a terminal of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", "try", *args],
        env=environment({"SPECPOST_STATE_DIR": str(state), "SPECPOST_LOG__FORMAT": "json"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPO,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stderr
    try:
        with process.stdout, process.stderr:
            yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGINT,
        *(pytest.param(each, marks=pytest.mark.long) for each in (signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_try_goes_on_until_it_is_told_to_end(tmp_path: Path, how: signal.Signals) -> None:
    """Ctrl-C reaches all of a terminal's processes, and all of them end in order."""
    with trying(tmp_path / "state") as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            if b"Ctrl-C ends it" in line:
                break
        os.killpg(process.pid, how)
        told = process.stderr.read()

        assert process.wait(PATIENCE) == (how is not signal.SIGINT)
    assert b'"stopped"' in told
    assert b"Traceback" not in told
    assert not list(tmp_path.rglob("postmaster.pid"))


def test_try_can_be_interrupted_before_it_is_up(tmp_path: Path) -> None:
    """No traceback, no success, and nothing left behind."""
    with trying(tmp_path / "state") as process:
        assert process.stderr
        while b'"starting"' not in process.stderr.readline():
            pass
        os.killpg(process.pid, signal.SIGINT)
        told = process.stderr.read()

        assert process.wait(PATIENCE) == 1
    assert b"Traceback" not in told
    assert not list(tmp_path.rglob("postmaster.pid"))


def test_try_says_that_its_daemon_has_died(tmp_path: Path) -> None:
    """Nobody waits in front of a daemon that is not there."""
    with trying(tmp_path / "state") as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            if b"Ctrl-C ends it" in line:
                break
        running = find(tmp_path / "state")
        assert running
        os.kill(running.pid, signal.SIGKILL)

        assert process.wait(PATIENCE) == 1
        assert b"specpost: the daemon ended with status -9" in process.stderr.read()
    with embedded(tmp_path / "state"):
        pass  # what a killed daemon leaves running, the next one who leaves last stops


def test_try_fails_with_the_reason_when_the_daemon_does(tmp_path: Path) -> None:
    """Status 1, and the daemon's own words."""
    env = {
        "XDG_STATE_HOME": str(tmp_path),
        "SPECPOST_SMTP__TLS_CERT": "/nowhere",
        "SPECPOST_SMTP__TLS_KEY": "/nowhere",
    }

    done = specpost("try", "--once", env=env)

    assert done.returncode != 0
    assert "tls_cert" in done.stderr
