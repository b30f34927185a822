"""Adding logins, as an operator types it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import click
import pytest

from daemon.cli import access
from daemon.logins import Logins
from tests.fix_daemon import PATIENCE, REPO, environment, specpost
from tests.parts import need

PASSWORD = "geheim-é12"
ADD = ("login", "add", "ana", "--from", "ana@example.com", "--file")


def given(password: str = PASSWORD) -> bytes:
    """A password as another program hands it over."""
    return f"{password}\n".encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the logins will be."""
    return tmp_path / "logins"


def mode(file: Path) -> int:
    """Its permissions."""
    return stat.S_IMODE(file.stat().st_mode)


def test_a_login_is_added_and_works(file: Path) -> None:
    """The first makes the file, for its maker alone; what is printed says what to do, and no secret."""
    done = specpost(*ADD, str(file), "--from", "bot@example.com", given=given())

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"added ana in {file}: may send as ana@example.com, bot@example.com\n")
    assert f'logins_file = "{file}"' in done.stdout
    assert f"chgrp GROUP {file} && chmod 640 {file}" in done.stdout
    assert PASSWORD not in done.stdout + file.read_text()
    assert mode(file) == 0o600
    login = Logins.read(file).check("ana", PASSWORD)
    assert login
    assert login.owns == ("ana@example.com", "bot@example.com")


def test_the_next_replaces_its_own_line_and_leaves_all_others(file: Path) -> None:
    """Comments, odd line ends and the order are the operator's; so are the file's mode and its name."""
    specpost(
        "login", "add", "ci", "--from", "ci@example.com", "--file", str(file), given=given("another one")
    )
    kept = "# people\r\n\n" + file.read_text() + "# the end, without a line end"
    file.write_bytes(kept.encode())
    file.chmod(0o640)
    link = file.with_name("link")
    link.symlink_to(file)

    added = specpost(*ADD, str(link), given=given())
    with_ana = file.read_bytes().decode()
    replaced = specpost("login", "add", "ci", "--from", "x@y", "--file", str(link), given=given())

    assert with_ana.startswith(f"{kept}\nana:$argon2id$")
    assert added.stdout == (
        f"added ana in {file}: may send as ana@example.com\n"
        "the daemon reads it again after: systemctl reload specpost\n"
    )
    assert replaced.stdout.startswith(f"replaced ci in {file}: may send as x@y\n")
    now = file.read_bytes().decode().split("\n")
    assert [*now[:2], *now[3:]] == [*with_ana.split("\n")[:2], *with_ana.split("\n")[3:]]
    assert Logins.read(file).check("ci", PASSWORD)
    assert mode(file) == 0o640
    assert link.is_symlink()
    assert sorted(each.name for each in file.parent.iterdir()) == ["link", "logins"]


def test_owner_and_group_stay_and_a_closed_folder_gives_its_group(tmp_path: Path) -> None:
    """What root adds in /etc/specpost, root:specpost 0750, the daemon can read, and still after the next."""
    need(os.geteuid() == 0, "run the tests as root: only root can give files away")
    folder = tmp_path / "etc"
    folder.mkdir()
    os.chown(folder, 0, 54321)
    folder.chmod(0o750)
    file = folder / "logins"

    first = specpost(*ADD, str(file), given=given())
    assert "readable by root and the group 54321; if" in first.stdout
    assert (file.stat().st_uid, file.stat().st_gid, mode(file)) == (0, 54321, 0o640)

    os.chown(file, 12345, 54322)
    specpost(*ADD, str(file), given=given())
    assert (file.stat().st_uid, file.stat().st_gid, mode(file)) == (12345, 54322, 0o640)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["add", "a:b", "--from", "a@b.c", "--file", "f"], "'a:b' is no name"),
        (["add", "ana", "--from", "*@b.c", "--file", "f"], "--from: '*@b.c' is no address"),
        (["add", "ana", "--from", "a@b.c,d@e.f", "--file", "f"], "is no address"),
        (["add", "ana", "--file", "f"], "Missing option '--from'"),
        (["add", "--from", "a@b.c", "--file", "f"], "Missing argument 'NAME'"),
    ],
)
def test_what_was_typed_wrongly_is_status_2(args: list[str], said: str, tmp_path: Path) -> None:
    """Before any password is read, and nothing is written."""
    done = specpost("login", *args[:-1], str(tmp_path / args[-1]), given=given())

    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("password", "said"),
    [
        (b"short\n", "a password has 8 characters or more"),
        (b"", "a password has 8 characters or more"),
        (b"x" * 600 + b"\n", "a password has at most 512 octets"),
        (b"geheim\x0012\n", "a password has no control characters, and is UTF-8"),
        (b"geheim\xe912\n", "the password on standard input is not UTF-8"),
    ],
)
def test_what_is_no_password_is_one_line_and_status_1(password: bytes, said: str, file: Path) -> None:
    """And no file comes of it."""
    done = specpost(*ADD, str(file), given=password)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"specpost: {said}\n")
    assert not file.exists()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: file.write_text("rubbish\n") and file.chmod(0o600), ":1: 1 fields"),
        (lambda file: file.touch(0o666) or file.chmod(0o666), ": others than its owner may write it"),
    ],
    ids=["broken", "open"],
)
def test_a_file_that_the_daemon_would_refuse_is_not_written(file: Path, make: object, said: str) -> None:
    """What is wrong with it is said in the daemon's words."""
    assert callable(make)
    make(file)

    done = specpost(*ADD, str(file), given=given())

    assert done.returncode == 1
    assert done.stderr.startswith(f"specpost: {file}{said}")
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """One line, without a traceback."""
    done = specpost(*ADD, str(tmp_path / "x" / "logins"), given=given())

    assert (done.returncode, done.stderr) == (
        1,
        f"specpost: {tmp_path / 'x' / 'logins'} can't be written: No such file or directory\n",
    )


def test_without_a_file_the_configuration_says_which(tmp_path: Path) -> None:
    """It names the file, or the words say how to begin."""
    file, config = tmp_path / "logins", tmp_path / "specpost.toml"
    pem = tmp_path / "pem"
    pem.touch()
    config.write_text(f'[smtp]\ntls_cert = "{pem}"\ntls_key = "{pem}"\nlogins_file = "{file}"\n')
    add = ADD[:-1]

    nowhere = specpost(*add, given=given())
    too_early = specpost(*add, "--config", str(config), given=given())
    begun = specpost(*add, "--config", str(config), "--file", str(file), given=given())
    again = specpost(*add, "--config", str(config), given=given("another password"))

    assert nowhere.returncode == 1
    assert "name one with --file" in nowhere.stderr
    assert too_early.returncode == 78
    assert "specpost login add NAME --from ADDRESS --file PATH makes one" in too_early.stderr
    assert begun.returncode == 0, begun.stderr
    assert again.stdout.startswith(f"replaced ana in {file}")


def test_two_at_the_same_time_are_both_added(file: Path) -> None:
    """Whoever comes while another writes waits, and reads what was written."""
    specpost(*ADD, str(file), given=given())
    folder = os.open(file.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "daemon",
            "login",
            "add",
            "ci",
            "--from",
            "ci@example.com",
            "--file",
            str(file),
        ],
        env=environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=REPO,
    )
    assert process.stdin
    with process, process.stdin as password:
        password.write(given())
        password.flush()
        _await_waiting(process)
        file.write_text(file.read_text().replace("ana:", "ben:", 1))
        os.close(folder)
        assert process.wait(PATIENCE) == 0

    known = Logins.read(file)
    assert len(known) == 2
    assert known.check("ben", PASSWORD)
    assert known.check("ci", PASSWORD)


def _await_waiting(process: subprocess.Popen[bytes]) -> None:
    """Return when ``process`` waits for a lock, which only the kernel can tell (proc_locks(5))."""
    deadline = time.monotonic() + PATIENCE
    while not re.search(rf"-> FLOCK .* {process.pid} ", Path("/proc/locks").read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(file: Path) -> None:
    """What was typed can't be read over a shoulder, and a slip of the finger is asked about again."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", *ADD, str(file)],
        env=environment({}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=REPO,
        start_new_session=True,  # getpass reads /dev/tty, so that of the tests must not be there
    )
    os.close(theirs)
    said = _talk(ours, [PASSWORD, "a slip of it", PASSWORD, PASSWORD])

    assert process.wait(PATIENCE) == 0, said
    assert said.count("Password: ") == said.count("Repeat for confirmation: ") == 2
    assert "not match" in said
    assert PASSWORD not in said
    assert Logins.read(file).check("ana", PASSWORD)


def _talk(terminal: int, answers: list[str]) -> str:
    """Type each of ``answers`` at its prompt; all that was shown, until the end."""
    said = b""
    with os.fdopen(terminal, "r+b", buffering=0) as screen, suppress(OSError):  # EIO: the other side is gone
        while more := screen.read(4096):
            said += more
            if more.rstrip().endswith(b":") and answers:
                screen.write(answers.pop(0).encode() + b"\n")
    return said.decode()


def test_the_help_teaches_how_to_begin() -> None:
    """Where the file is, who has to read it, and where the password comes from."""
    text = access.login_add.get_help(click.Context(access.login_add, info_name="specpost login add"))

    assert "specpost login add ana --from ana@example.com --file /etc/specpost/logins" in text
    assert "| specpost login add ci" in text
    assert all(word in text for word in ("standard input", "chgrp", "640"))
