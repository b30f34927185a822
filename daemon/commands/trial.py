"""``specpost try``: a real daemon, a real mail, and what became of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click
import psycopg

from daemon import database, whereabouts, wiring
from daemon.commands import lending, lives, posting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.settings import Settings

#: The specification that is mailed; it travels in the package.
EXAMPLE = "example.yaml"
#: Seconds for the daemon to come up; the first start makes a database.
START_TIMEOUT = 120.0
#: How long the URL of what was stored can be opened.
LOOK = timedelta(hours=1)


class TrialError(Exception):
    """The walk didn't come to its end; the text says where it stopped."""


def walk(settings: Settings, *, once: bool) -> None:
    """Start a daemon, mail it the example, show what happened; then stay until Ctrl-C, or not to ``once``."""
    with _daemon() as process:
        _title("A daemon is up, on embedded defaults")
        running = whereabouts.find(settings.state_dir)
        if running is None or running.pid != process.pid:
            raise TrialError(f"another daemon runs on {settings.state_dir}; specpost send FILE mails to it")
        click.echo(f"takes mail on {', '.join(running.smtp)}; everything it keeps is in {settings.state_dir}")
        _show_the_rows(settings, _mail_the_example(settings))
        if once:
            return
        _stay(process)


def _stay(process: subprocess.Popen[bytes]) -> None:
    """Wait for Ctrl-C, which is the way to end it; TrialError when the daemon ends before."""
    with suppress(KeyboardInterrupt):
        _title("Your turn")
        click.echo(
            "In another terminal: specpost send FILE, specpost specs, specpost tail -f. Here: Ctrl-C ends it."
        )
        process.wait()
        raise TrialError(_ended(process))


def _mail_the_example(settings: Settings) -> UUID:
    """Mail it; the id of its specification, as the answer names it."""
    _title("The example is mailed to it, with a real SMTP client")
    with resources.as_file(resources.files("daemon") / EXAMPLE) as example:
        letter = posting.compose([example], settings, to=None, sender="ana@example.org", subject=None)
    code, text = posting.deliver(letter, posting.door(settings, None), click.echo)
    if code != posting.ACCEPTED:
        raise TrialError(f"the daemon answered {code} {text}")
    return UUID(text.partition("spec=")[2][:36])


def _show_the_rows(settings: Settings, spec_id: UUID) -> None:
    with database.url(settings) as url, psycopg.connect(url) as conn:
        life = lives.Life.of(conn, spec_id)
        if life is None:
            raise TrialError(f"the daemon said it took {spec_id}, and there is no such row")
        _title("The rows it wrote: specs, sprints, status_events")
        lives.told(life, as_json=False)
        _title("Where the attachment lies, byte for byte")
        with closing(wiring.storage(settings)) as storage:
            click.echo(lending.lend(conn, storage, spec_id, LOOK)[0].url)


@contextmanager
def _daemon() -> Iterator[subprocess.Popen[bytes]]:
    """``specpost run`` as a process of its own, from when it is ready until the context ends."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # else the daemon would outlive its terminal
    with tempfile.TemporaryDirectory(prefix="specpost-") as folder, _bell(Path(folder)) as (bell, address):
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "run", "--config", os.devnull],
            env=os.environ | {"NOTIFY_SOCKET": address},
            start_new_session=True,  # Ctrl-C is for us alone: a second signal would hurry its end
        )
        try:
            _await_ready(process, bell)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


@contextmanager
def _bell(folder: Path) -> Iterator[tuple[socket.socket, str]]:
    """What the daemon rings when it is ready, as it does for systemd (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(str(folder / "notify"))
        bell.settimeout(0.2)
        yield bell, str(folder / "notify")


def _await_ready(process: subprocess.Popen[bytes], bell: socket.socket) -> None:
    give_up = time.monotonic() + START_TIMEOUT
    while time.monotonic() < give_up:
        with suppress(TimeoutError):
            if b"READY=1" in bell.recv(4096).splitlines():
                return
        if process.poll() is not None:
            raise TrialError(_ended(process))
    raise TrialError(f"the daemon was not ready after {START_TIMEOUT:g} s")


def _ended(process: subprocess.Popen[bytes]) -> str:
    return f"the daemon ended with status {process.returncode}; its own words are above"


def _title(text: str) -> None:
    click.echo(f"\n── {text}")
