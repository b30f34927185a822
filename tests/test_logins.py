"""Logins for SMTP AUTH: the file, and the desk that asks it."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from typing import TYPE_CHECKING

import argon2
import pytest
import structlog

from daemon import log, logins
from daemon.logins import CHECKS, WAITING, Busy, LoginDesk, Logins, LoginsError
from daemon.mail import Login
from daemon.passwords import Hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
SALT = b"sixteen octets!!"  # always the same, so that a case has the same name in every process
PASSWORD, OTHER = "geheim-é12", "mot-de-passe"
ANA = f"ana:{QUICK.hash(PASSWORD, salt=SALT)}:ana@example.com"
CI = f"ci:{QUICK.hash(OTHER, salt=SALT)}:ci@example.com, bot@example.com"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the file of logins, closed to others."""

    def written(*lines: str | bytes, mode: int = 0o640) -> Path:
        file = tmp_path / "logins"
        file.write_bytes(
            b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)
        )
        file.chmod(mode)
        return file

    return written


@pytest.fixture
def told() -> Iterator[io.StringIO]:
    """What is logged."""
    stream = io.StringIO()
    log.configure("json", "debug", stream)
    yield stream
    log.configure()


def test_who_knows_the_password_is_let_in(write: Callable[..., Path]) -> None:
    """As the one their line says, with the addresses that are theirs."""
    known = Logins.read(write("# people", ANA, "", "   ", "# programs", CI))

    assert len(known) == 2
    assert known.check("ana", PASSWORD) == Login("ana", ("ana@example.com",))
    assert known.check("ci", OTHER) == Login("ci", ("ci@example.com", "bot@example.com"))


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ana", OTHER),
        ("ana", ""),
        ("ci", PASSWORD),
        ("Ana", PASSWORD),
        ("", PASSWORD),
        ("nobody", PASSWORD),
        ("\ud800\0", "\ud800\0"),
        ("# people", ""),
    ],
)
def test_nobody_else_is(write: Callable[..., Path], name: str, password: str) -> None:
    """Neither with another's password nor under a name that isn't there."""
    assert Logins.read(write(ANA, CI)).check(name, password) is None


def test_an_empty_file_lets_nobody_in(write: Callable[..., Path]) -> None:
    """It is a file of no logins, and no mistake."""
    assert Logins.read(write()).check("ana", PASSWORD) is None


def test_a_name_that_is_not_there_costs_what_one_that_is_does(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hash, always the same one, whether the name is known or not: no time tells them apart."""
    known = Logins.read(write(ANA, CI))
    checked: list[Hash] = []
    real = Hash.fits
    monkeypatch.setattr(Hash, "fits", lambda self, password: checked.append(self) or real(self, password))
    for name in ("ana", "nobody", "nobody", "x"):
        known.check(name, "wrong password")

    assert len(checked) == 4
    assert checked[1] is checked[2]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ana", "1 fields; a login is name:hash:address,address"),
        (f"{ANA}:more", "4 fields; a login is name:hash:address,address"),
        (ANA.replace("ana:", "a na:", 1), "a name is 1 to 64 letters"),
        (ANA.replace("ana:", ":", 1), "a name is 1 to 64 letters"),
        (ANA.replace("ana:", "x" * 65 + ":", 1), "a name is 1 to 64 letters"),
        (f" {ANA}", "a name is 1 to 64 letters"),
        ("ana:geheim12:ana@example.com", "the hash of ana: no $argon2id$v=19$… or $scrypt$ln=… hash"),
        (ANA.replace("m=64", "m=9999999"), "the hash of ana: it asks for 9765 MiB"),
        (ANA.rpartition(":")[0] + ":", "'' is no address"),
        (ANA + ",", "'' is no address"),
        (ANA.replace("@example.com", ""), "'ana' is no address"),
        (ANA.replace("ana@", "*@"), "'*@example.com' is no address"),
        (ANA.replace("ana@", "a@b@"), "'a@b@example.com' is no address"),
        (ANA.replace("ana@", "Ana <ana@") + ">", "'Ana <ana@example.com>' is no address"),
        (ANA + "\x1b[31m", r"'ana@example.com\\x1b[31m' is no address"),
        (ANA + "x" * 254, "is no address"),
        (ANA.encode() + b"\xff", "not UTF-8"),
    ],
)
def test_a_wrong_line_is_named_and_its_hash_is_not_told(
    write: Callable[..., Path], line: str | bytes, why: str
) -> None:
    """With the file and the number, so that an editor jumps there."""
    file = write("# people", line)
    with pytest.raises(LoginsError) as refused:
        Logins.read(file)

    assert str(refused.value).startswith(f"{file}:2: ")
    assert why in str(refused.value)
    assert ANA.rsplit("$", maxsplit=1)[-1].partition(":")[0] not in str(refused.value)
    assert "geheim12" not in str(refused.value)


def test_a_name_that_stands_twice_is_refused(write: Callable[..., Path]) -> None:
    """Which of the two is meant is not ours to guess."""
    with pytest.raises(LoginsError, match=r"logins:3: ana stands in line 1 already"):
        Logins.read(write(ANA, CI, ANA))


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (0o660, "others than its owner may write it"),
        (0o602, "others than its owner may write it"),
        (0o644, "everybody may read it"),
        (0o641, "everybody may read it"),
    ],
)
def test_a_file_that_is_open_to_others_is_refused(write: Callable[..., Path], mode: int, why: str) -> None:
    """Whoever may write it is a sender; the words name the command that mends it, and it does."""
    file = write(ANA, mode=mode)
    with pytest.raises(LoginsError) as refused:
        Logins.read(file)
    assert str(refused.value) == f"{file}: {why}; chmod 640 {file} mends that"

    file.chmod(0o640)
    assert len(Logins.read(file)) == 1


def test_what_is_no_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that nobody writes, a folder, nothing at all, or more than anybody's logins."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "long").touch(0o600)
    (tmp_path / "long").write_text(ANA)
    monkeypatch.setattr(logins, "FILE_MAX", 10)
    for name, why in (
        ("pipe", "no file"),
        ("", "Is a directory"),
        ("nothing", "No such file or directory"),
        ("long", "more than 10 bytes"),
    ):
        with pytest.raises(LoginsError) as refused:
            Logins.read(tmp_path / name)
        assert str(refused.value) == f"{tmp_path / name}: {why}"


def test_the_desk_answers_and_reads_the_file_again(write: Callable[..., Path], told: io.StringIO) -> None:
    """Whoever was added is known after a reload, and whoever was taken out is not."""
    desk = LoginDesk(write(ANA))
    assert asyncio.run(desk.login("ana", PASSWORD)) == Login("ana", ("ana@example.com",))
    assert asyncio.run(desk.login("ci", OTHER)) is None

    write(CI)
    desk.reload()

    assert asyncio.run(desk.login("ana", PASSWORD)) is None
    assert asyncio.run(desk.login("ci", OTHER)) is not None
    assert told.getvalue().count('"event":"logins"') == 2
    desk.close()


@pytest.mark.parametrize("how", ["broken", "gone", "open"])
def test_a_file_that_cannot_be_used_leaves_the_logins_as_they_were(
    write: Callable[..., Path], told: io.StringIO, how: str
) -> None:
    """A slip in an editor locks nobody out; the log says what is wrong, and no secret."""
    file = write(ANA)
    desk = LoginDesk(file)
    if how == "gone":
        file.unlink()
    elif how == "open":
        file.chmod(0o666)
    else:
        write(ANA, "ci:geheim-12:ci@example.com")
    desk.reload()

    assert asyncio.run(desk.login("ana", PASSWORD)) is not None
    assert '"event":"logins broken"' in told.getvalue()
    assert str(file) in told.getvalue().splitlines()[-1]
    assert "geheim" not in told.getvalue()
    desk.close()


def test_a_desk_without_a_file_is_not_opened(tmp_path: Path) -> None:
    """At start there are no logins to keep."""
    with pytest.raises(LoginsError, match="No such file"):
        LoginDesk(tmp_path / "nothing")


class Slow:
    """Checks that take until they are let go, counted as they are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.at_once, self.most = 0, 0
        self._lock = threading.Lock()
        monkeypatch.setattr(Logins, "check", self._check)

    def _check(self, _name: str, _password: str) -> None:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.begun.release()
        assert self.go.wait(30)
        with self._lock:
            self.at_once -= 1


def test_no_more_checks_than_agreed_at_a_time_and_the_wait_is_bounded(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of guesses takes two threads' memory, and is told to come again."""
    desk, slow = LoginDesk(write(ANA)), Slow(monkeypatch)

    async def flood() -> list[object]:
        asked = [asyncio.create_task(desk.login("ana", "guess")) for _ in range(CHECKS + WAITING + 5)]
        await asyncio.to_thread(slow.begun.acquire, timeout=30)
        slow.go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(flood())

    assert sum(isinstance(answer, Busy) for answer in answers) == 5
    assert answers.count(None) == CHECKS + WAITING
    assert slow.most <= CHECKS
    desk.close()


def test_who_hangs_up_starts_no_further_check(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coming and going makes neither more threads nor a longer wait."""
    desk, slow = LoginDesk(write(ANA)), Slow(monkeypatch)

    async def come_and_go() -> None:
        for _ in range(CHECKS + WAITING + 5):
            asked = asyncio.create_task(desk.login("ana", "guess"))
            await asyncio.sleep(0)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
        await asyncio.to_thread(slow.begun.acquire, timeout=30)
        asked = asyncio.create_task(desk.login("ana", "guess"))
        await asyncio.sleep(0)
        slow.go.set()
        assert await asked is None

    asyncio.run(come_and_go())

    assert slow.most <= CHECKS
    desk.close()


def test_a_check_that_fails_tells_no_password(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, told: io.StringIO
) -> None:
    """Not in the exception, and not in the log of it: frames are told by name, without what is in them."""
    desk = LoginDesk(write(ANA))

    def fail(self: Hash, password: str) -> bool:
        raise MemoryError("no room for a hash")

    monkeypatch.setattr(Hash, "fits", fail)
    with pytest.raises(MemoryError) as failed:
        asyncio.run(desk.login("ana", PASSWORD))
    structlog.get_logger().error(log.Event.INTERNAL_ERROR, exc_info=failed.value)

    assert "no room" in told.getvalue()
    assert PASSWORD not in told.getvalue() + repr(failed.value) + repr(desk.__dict__)
    desk.close()
