"""One session with a server: what is asked, and how what is said is understood."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from daemon.credentials import Password
from daemon.sources.imap import session as module
from daemon.sources.imap.session import Glance, Selected, Session
from daemon.sources.imap.trouble import Declined, LoginRefused, Misunderstood, Trouble
from tests.fix_dovecot import new_dovecot
from tests.fix_imap import a_letter, account_of
from tests.scripted_imap import empty_body, nil_body, says_no, scripted_imap, stalls, vanished, without_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fix_dovecot import Account, Box
    from tests.fix_house import House
    from tests.fix_imap import Watched
    from tests.scripted_imap import Act, Command, ScriptedImap
    from tests.scripted_imap import Session as Served

MAIL = b"Subject: one\r\n\r\nbody\r\n"
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[ScriptedImap]:
    """An honest server with whatever a test puts there."""
    with scripted_imap() as made:
        yield made


@contextmanager
def entered(box: Any, folder: str = "INBOX", **changes: Any) -> Iterator[Session]:
    """A session that has logged in and selected a folder, if any."""
    with closing(Session(account_of(box, **changes))) as made:
        made.open()
        if folder:
            made.select(folder)
        yield made


@pytest.mark.parametrize("name", ["INBOX", "inbox", "Inbox"])
def test_the_inbox_has_one_name(server: ScriptedImap, name: str) -> None:
    """In any case of its letters (RFC 3501, section 5.1); nobody needs to be asked."""
    with entered(server) as session:
        assert session.find(name) == "INBOX"
    assert not server.sent("LIST|NAMESPACE")


@pytest.mark.parametrize(
    ("prefix", "separator", "folder", "name"),
    [
        ("", "/", "Specs/Done", "Specs/Done"),
        ("", ".", "Specs/Done", "Specs.Done"),
        ("INBOX.", ".", "Specs/Done", "INBOX.Specs.Done"),
        ("INBOX.", ".", "INBOX/Specs", "INBOX.Specs"),
        ("INBOX.", ".", "INBOX.Specs", "INBOX.Specs"),
        ("INBOX/", "/", "INBOX/Specs", "INBOX/Specs"),
        ("Mail/", "/", "inbox/Specs", "Mail/inbox/Specs"),
    ],
)
def test_a_folder_is_looked_for_where_the_users_own_are(
    prefix: str, separator: str, folder: str, name: str
) -> None:
    """With the server's separator, below its prefix, and below it once (RFC 2342)."""
    with scripted_imap(prefix=prefix, separator=separator) as server, entered(server) as session:
        assert session.find(folder) == name


def test_a_folder_that_is_there_is_meant_as_it_is_written() -> None:
    """Also another user's, or a shared one; a longer name is no other."""
    with scripted_imap(prefix="INBOX.", separator=".") as server, entered(server) as session:
        server.folders |= dict.fromkeys(("Shared.Specs", "Plans.Old"), server.folders["INBOX"])

        assert session.find("Shared.Specs") == "Shared.Specs"
        assert session.find("Plans") == "INBOX.Plans"


@pytest.mark.parametrize("separator", [".", "/"])
def test_without_namespaces_the_separator_is_asked_for(separator: str, tmp_path: Path) -> None:
    """By the LIST that is for this (RFC 3501, section 6.3.8)."""
    with new_dovecot(tmp_path, separator=separator, hidden={"NAMESPACE"}) as server:
        box = server.new_user()
        with entered(box) as session:
            name = session.find("Specs/Done")
            session.make(name)

        assert name == f"Specs{separator}Done"
        assert name in box.folders()


def test_a_folder_is_made_once_and_people_see_it(server: ScriptedImap) -> None:
    """One that is there is left as it is."""
    with entered(server) as session:
        session.make("Done")
        session.make("Done")
        session.make("INBOX")

    assert server.subscribed == {"Done"}
    assert [command.line for command in server.sent("CREATE")] == ['CREATE "Done"']


def test_a_folder_that_nobody_can_subscribe_to_is_a_folder(server: ScriptedImap) -> None:
    """While one that can't be made is not."""
    server.script("SUBSCRIBE", says_no("[CANNOT] no"))
    server.script("CREATE", says_no("[NOPERM] not you"), nth=2)
    with entered(server) as session:
        session.make("Done")
        with pytest.raises(Declined, match=r"^NO to create Other: .*\[NOPERM\] not you"):
            session.make("Other")

        assert session.folders() == ["Done", "INBOX"]


@pytest.mark.parametrize("name", ['"a" b', "a\\b", "Été 日本 & plans", "{3}", "(a)"])
def test_a_folder_may_have_any_name(box: Box, name: str) -> None:
    """It is quoted and encoded as IMAP wants it, and read back as it was."""
    with entered(box) as session:
        session.make(name)

        assert session.find(name) == name
        assert sorted(session.folders()) == sorted(["INBOX", name])
        assert session.select(name).exists == 0


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mails are fetched sixteen octets at a time, and listed by twos."""
    monkeypatch.setattr(module, "PIECE", 16)
    monkeypatch.setattr(module, "LISTED", 2)


def asked_for(server: ScriptedImap) -> list[str]:
    """Which octets of which mails were asked for."""
    commands = server.sent("UID FETCH .*BODY")
    return [f"{each.args[0]} {each.args[1].strip('()').removeprefix('BODY.PEEK[]')}" for each in commands]


@pytest.mark.usefixtures("_small")
def test_only_what_is_unfinished_is_asked_for_again(server: ScriptedImap) -> None:
    """Small mails cost one command together; where one ends with a piece, one more finds that out."""
    mails = {server.append(bytes([size]) * size): bytes([size]) * size for size in (15, 16, 17, 33, 1)}
    with entered(server) as session:
        assert session.fetch(sorted(mails), 1000) == mails

    assert asked_for(server) == [
        "1,2,3,4,5 <0.16>",
        *("2 <16.16>", "3 <16.16>"),
        *("4 <16.16>", "4 <32.16>"),
    ]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(
    ("size", "at_most", "got"), [(48, 48, 48), (48, 47, 48), (1000, 40, 48), (40, 1, 16)]
)
def test_no_more_is_fetched_than_tells_that_it_is_too_much(
    server: ScriptedImap, size: int, at_most: int, got: int
) -> None:
    """However small the server said it was."""
    server.append(b"x" * size)
    with entered(server) as session:
        assert session.fetch([1], at_most) == {1: b"x" * got}


@pytest.mark.parametrize(
    ("act", "found"), [(vanished(1), None), (without_body(1), None), (nil_body(1), b""), (empty_body(1), b"")]
)
def test_octets_that_are_not_said_are_none(server: ScriptedImap, act: Act, found: bytes | None) -> None:
    """Never those of another mail."""
    server.append(MAIL)
    server.append(MAIL + b"two\r\n")
    server.script("UID FETCH .*BODY", act)
    with entered(server) as session:
        fetched = session.fetch([1, 2], 1000)

    assert (fetched.get(1), fetched[2]) == (found, MAIL + b"two\r\n")


def test_a_mail_is_what_its_octets_are(box: Box) -> None:
    """Bare line ends, eight bits and parentheses of IMAP's own; and nobody has read it."""
    raw = b"Subject: \xff)\r\n\r\n{3}\r\n* BYE\r\n)\r\n"
    uid = box.append(raw)
    with entered(box) as session:
        assert session.fetch([uid], 1000) == {uid: raw}
        assert session.glance([uid])[uid].size == len(raw)
    assert box.flags() == {uid: set()}


def test_a_glance_tells_size_and_date(server: ScriptedImap) -> None:
    """In UTC, whatever the server's zone; of mails that are gone, nothing."""
    server.append(MAIL, when=WHEN.astimezone(timezone(timedelta(hours=-9))))
    with entered(server) as session:
        assert session.glance([1, 7]) == {1: Glance(len(MAIL), WHEN)}


@pytest.mark.usefixtures("_small")
def test_mails_are_listed_in_pieces(server: ScriptedImap) -> None:
    """By their positions, ascending; in no piece is one forgotten."""
    for _ in range(5):
        server.append(MAIL)
    server.remove(2)
    with entered(server) as session:
        assert session.all_uids(4) == [1, 3, 4, 5]
        assert session.all_uids(0) == []
        assert [command.line for command in server.sent("SEARCH")] == ["UID SEARCH 1:2", "UID SEARCH 3:4"]


def test_the_last_mail_is_not_news(server: ScriptedImap) -> None:
    """A server names it for any range that begins beyond it (RFC 3501, section 6.4.8)."""
    for _ in range(3):
        server.append(MAIL)
    with entered(server) as session:
        assert session.uids_from(2) == [2, 3]
        assert session.uids_from(4) == []


def select(server: ScriptedImap, *lines: str) -> Selected:
    """What is understood of ``lines``."""

    def act(served: Served, command: Command) -> None:
        served.obey(command)
        served.unsaid()
        for line in lines:
            served.say(f"* {line}")
        served.say(f"{command.tag} OK [READ-WRITE] done")

    server.script("^SELECT", act)
    with entered(server, folder="") as session:
        return session.select("INBOX")


@pytest.mark.parametrize(("mails", "uidnext"), [(0, 1), (3, 4)])
def test_where_no_next_uid_is_told_it_is_found(server: ScriptedImap, mails: int, uidnext: int) -> None:
    """One above the last mail's."""
    for _ in range(mails):
        server.append(MAIL)

    assert select(server, f"{mails} EXISTS", "OK [UIDVALIDITY 7] x") == Selected(7, uidnext, mails)


def test_a_folder_whose_numbers_mean_nothing_is_not_watched(server: ScriptedImap) -> None:
    """Nothing could be remembered of it."""
    with pytest.raises(Misunderstood, match="INBOX has no UIDVALIDITY"):
        select(server, "0 EXISTS", "OK [UIDNEXT 1] x")


def test_a_folder_that_is_not_there_is_declined(server: ScriptedImap) -> None:
    """In the server's words."""
    with (
        entered(server) as session,
        pytest.raises(Declined, match=r"NO to select Specs: .*there is no Specs"),
    ):
        session.select("Specs")


@pytest.mark.parametrize(("hidden", "moved"), [(set(), True), ({"MOVE"}, True), ({"MOVE", "UIDPLUS"}, False)])
def test_moving_touches_no_other_mail(hidden: set[str], *, moved: bool) -> None:
    """Not one that its owner has marked deleted either; where that can't be promised nothing is moved."""
    with scripted_imap(hidden=hidden) as server:
        for flags in ((), ("\\Deleted",), ()):
            server.append(MAIL, flags=flags)
        with entered(server) as session:
            session.make("Done")

            assert session.move([3], "Done") is moved

            assert session.uids_from(1) == ([1, 2] if moved else [1, 2, 3])
        assert server.count("Done") == moved
        assert not [command for command in server.sent("EXPUNGE") if command.name == "EXPUNGE"]


@pytest.mark.parametrize("password", ['a "b" \\c', "{3}", " ", "(a)", "%*"])
@pytest.mark.parametrize("hidden", [set(), {"AUTH=PLAIN"}])
def test_a_password_arrives_as_it_is(hidden: set[str], password: str) -> None:
    """By either way to log in."""
    with scripted_imap(hidden=hidden) as server:
        server.password = password
        with entered(server, credentials=lambda: Password(password)):
            assert [attempt.secret for attempt in server.attempts] == [password]


def test_a_password_beyond_ascii_needs_a_server_that_takes_it() -> None:
    """By PLAIN it is UTF-8 (RFC 4616); else it is said, without the password."""
    credentials = {"credentials": lambda: Password("gehéim")}
    with scripted_imap() as server:
        server.password = "gehéim"
        with entered(server, **credentials):
            assert server.attempts[0].secret == "gehéim"
    with scripted_imap(hidden={"AUTH=PLAIN"}) as server:
        with pytest.raises(LoginRefused, match="takes only ASCII") as refused, entered(server, **credentials):
            pass
        assert "heim" not in str(refused.value)


@pytest.mark.parametrize("hidden", [set(), {"IDLE"}])
def test_who_waits_can_be_woken(hidden: set[str]) -> None:
    """By a descriptor, whether the server tells what is new or not; then the session goes on."""
    wake = os.eventfd(1)
    with scripted_imap(hidden=hidden) as server, entered(server) as session:
        started = time.monotonic()
        session.wait(60, wake)
        session.ping()

        assert time.monotonic() - started < 30
    os.close(wake)


def test_what_came_before_waiting_began_is_not_waited_for(server: ScriptedImap) -> None:
    """The server says it while IDLE begins, and nothing more after that."""
    wake = os.eventfd(0)
    with entered(server) as session:
        with server.lock:
            server.folders["INBOX"].add(MAIL)
        started = time.monotonic()
        session.wait(60, wake)

        assert time.monotonic() - started < 30
        assert session.uids_from(1) == [1]
    os.close(wake)


def test_a_command_can_be_broken_off_from_outside(server: ScriptedImap) -> None:
    """Who waits for its answer gets Trouble; nothing is due any more."""
    server.script("NOOP", stalls)
    with entered(server) as session:
        assert session.due == float("inf")
        cutting = threading.Thread(target=lambda: (server.await_command("NOOP"), session.abort()))
        cutting.start()
        with pytest.raises(Trouble):
            session.ping()
        cutting.join()

        assert session.due == float("inf")


def test_a_session_that_never_began_can_be_ended() -> None:
    """Whatever state it is in."""
    with scripted_imap() as server:
        session = Session(account_of(server))
        session.close()
        session.open()
        session.close()
        session.close()

        assert server.sent("LOGOUT")


def test_the_walk_on_another_server(pymap: Account, watch_over: Callable[..., Watched], house: House) -> None:
    """One that agrees with the first on little but the standard: new mail is taken and filed, else left."""
    pymap.append(a_letter(1))
    watched = watch_over(account_of(pymap, poll=0.5))

    left = pymap.append(a_letter(2, Auto_Submitted="auto-replied"))
    letter = a_letter(3)
    taken = pymap.append(letter)

    assert watched.await_arrivals(2) == [(left, "ignored"), (taken, "accepted")]
    pymap.await_count("Processed", 1)
    assert pymap.mails("Processed") == [letter]
    assert pymap.uids() == [left - 1, left]
    assert house.counts()["specs"] == 1
    watched.end()
