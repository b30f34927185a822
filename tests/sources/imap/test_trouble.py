"""Servers on their worst days: whatever they do, each mail is taken once, and the watch goes on."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from daemon.credentials import Bearer, ConsentError, Password
from daemon.outcome import Outcome, Verdict
from daemon.sources.imap import mailbox, session, trouble, watch
from daemon.sources.imap.mailbox import Hands
from tests.fix_dovecot import new_dovecot
from tests.fix_imap import a_letter, account_of
from tests.proxy import proxied
from tests.scripted_imap import (
    bye_in_literal,
    deaf,
    empty_body,
    garbage,
    hangs_up,
    hangs_up_after,
    nil_body,
    says_bad,
    says_bye,
    says_no,
    scripted_imap,
    stalls,
    vanished,
    without_body,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fix_dovecot import Box, Dovecot
    from tests.fix_house import House
    from tests.fix_imap import Watched
    from tests.scripted_imap import Act, ScriptedImap

    WatchOver = Callable[..., Watched]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left alone for seconds or minutes is left alone for moments."""
    monkeypatch.setattr(watch, "PAUSE_FIRST", 0.05)
    monkeypatch.setattr(watch, "PAUSE_MOST", 0.2)
    monkeypatch.setattr(watch, "DOWN_FIRST", 0.05)
    monkeypatch.setattr(trouble, "AFTER_REFUSAL", 1.0)
    monkeypatch.setattr(session, "AFTER_REFUSAL", 1.0)
    monkeypatch.setattr(session, "READ", 1.0)
    monkeypatch.setattr(mailbox, "LATER_FIRST", 0.05)
    monkeypatch.setattr(mailbox, "FILING_PAUSE", 0.1)


@pytest.fixture
def server() -> Iterator[ScriptedImap]:
    """An honest server, until a test says otherwise."""
    with scripted_imap() as made:
        yield made


DEEDS: dict[str, tuple[str, Act]] = {
    "BYE in the middle of a mail": ("UID FETCH .*BODY", bye_in_literal),
    "gone at a fetch": ("UID FETCH", hangs_up),
    "gone after a fetch was asked for": ("UID FETCH .*BODY", hangs_up_after),
    "silent at a fetch": ("UID FETCH .*BODY", stalls),
    "garbage at a fetch": ("UID FETCH .*BODY", garbage),
    "NO to a fetch": ("UID FETCH .*BODY", says_no("[SERVERBUG] not now")),
    "BAD to a fetch": ("UID FETCH", says_bad("what?")),
    "throttled at a fetch": ("UID FETCH", says_no("[UNAVAILABLE] try again later")),
    "BYE to a search": ("UID SEARCH", says_bye("maintenance")),
    "silent at a search": ("UID SEARCH", stalls),
    "gone before the move": ("UID MOVE", hangs_up),
    "gone after the move": ("UID MOVE", hangs_up_after),
    "silent at the move": ("UID MOVE", stalls),
    "BYE to IDLE": ("^IDLE", says_bye("idle too long")),
    "NO to IDLE": ("^IDLE", says_no("no")),
    "gone in IDLE": ("^IDLE", hangs_up),
    "BYE in the greeting": ("GREETING", says_bye("too busy")),
    "garbage in the greeting": ("GREETING", garbage),
    "NO to the folder": ("^SELECT", says_no("[INUSE] locked")),
    "NO to a new folder": ("^CREATE", says_no("[ALREADYEXISTS] there")),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_whatever_a_server_does_each_mail_is_taken_once(
    deed: str, server: ScriptedImap, watch_over: WatchOver, house: House
) -> None:
    """Begun anew, looked at again: no mail lost, doubled, or held for the server's fault."""
    server.script(*DEEDS[deed])
    watched = watch_over(account_of(server, poll=0.5), settled=False)
    watched.await_status("waiting for mail")

    for number in range(3):
        server.append(a_letter(number))

    watched.await_arrivals(3)
    _await_count(server, "Processed", 3)
    assert server.count() == 0
    assert [verdict for _, verdict in watched.arrivals()] == ["accepted"] * 3
    assert house.counts()["specs"] == 3


def _await_count(server: ScriptedImap, folder: str, count: int) -> None:
    deadline = time.monotonic() + 30
    while server.count(folder) != count:
        assert time.monotonic() < deadline, server.commands[-20:]
        time.sleep(0.02)


def test_nothing_but_what_is_ours_is_touched(server: ScriptedImap, watch_over: WatchOver) -> None:
    """Each mail is fetched once, by PEEK; nothing is marked, searched by its words, or plainly expunged."""
    watched = watch_over(account_of(server))
    server.append(a_letter(1, Auto_Submitted="auto-replied"))
    watched.await_arrivals(1)
    server.append(a_letter(2))
    watched.await_arrivals(2)
    _await_count(server, "Processed", 1)

    fetched = [command.line for command in server.sent("UID FETCH .*BODY")]
    assert len(fetched) == 2
    assert all("BODY.PEEK[]<0." in line for line in fetched)
    assert not server.sent(r"STORE|EXPUNGE|CLOSE|HEADER|SUBJECT|RFC822(?!\.SIZE)")
    assert [command.line for command in server.sent("UID MOVE")] == ['UID MOVE 2 "Processed"'] * 2


@pytest.mark.parametrize("act", [without_body(1), nil_body(1), empty_body(1), vanished(1)])
def test_octets_that_are_not_there_are_no_mail(
    act: Act, server: ScriptedImap, watch_over: WatchOver, house: House
) -> None:
    """Looked for again; when they come they are taken, and no empty mail is recorded meanwhile."""
    server.script("UID FETCH .*BODY", act, times=2)
    watched = watch_over(account_of(server))
    server.append(a_letter(1))

    assert watched.await_arrivals(1) == [(1, "accepted")]
    assert house.counts()["mails"] == 1


@pytest.mark.parametrize("act", [without_body(1), nil_body(1), empty_body(1)])
def test_octets_that_never_come_are_given_up(
    act: Act, server: ScriptedImap, watch_over: WatchOver, house: House
) -> None:
    """Remembered with the reason, and out of the way of those behind it."""
    server.script("UID FETCH .*BODY", act, times=1000)
    watched = watch_over(account_of(server))
    server.append(a_letter(1))
    server.append(a_letter(2))

    assert watched.await_arrivals(2) == [(1, "held"), (2, "accepted")]
    _await_count(server, "Held", 1)
    assert house.rows("select reason from intake.arrivals where uid = 1") == [
        ("the server has no octets of it",)
    ]


def test_a_mail_that_vanishes_is_forgotten(server: ScriptedImap, watch_over: WatchOver, house: House) -> None:
    """Somebody took it away between two commands: it is none of ours any more."""

    def take_away(its: Any, command: Any) -> None:
        server.remove(1)
        its.obey(command)

    server.script("UID FETCH .*BODY", take_away)
    watched = watch_over(account_of(server))
    server.append(a_letter(1))
    server.await_command("UID FETCH .*BODY")
    server.append(a_letter(2))

    assert watched.await_arrivals(1) == [(2, "accepted")]
    watched.await_status("waiting for mail")
    assert watched.watch.alive()


def test_a_server_that_does_not_tell_is_asked(server: ScriptedImap, watch_over: WatchOver) -> None:
    """An IDLE that says nothing costs no more than the next poll."""
    server.script("^IDLE", deaf, times=1000)
    watched = watch_over(account_of(server, poll=0.3))

    server.append(a_letter(1))

    watched.await_arrivals(1)


def test_a_uid_that_appears_late_is_seen(server: ScriptedImap, watch_over: WatchOver) -> None:
    """Not every server shows its mails in the order of their UIDs."""
    server.folders["INBOX"].uidnext = 10
    watched = watch_over(account_of(server, poll=0.3, take_existing=True))
    server.append(a_letter(10))
    watched.await_arrivals(1)

    with server.lock:
        server.folders["INBOX"].uidnext = 5
    server.append(a_letter(5))

    assert watched.await_arrivals(2) == [(5, "accepted"), (10, "accepted")]


def test_new_numbers_in_a_session_are_noticed_at_the_next_reconciliation(
    server: ScriptedImap, watch_over: WatchOver, monkeypatch: pytest.MonkeyPatch, house: House
) -> None:
    """No server may do that, and one does."""
    monkeypatch.setattr(watch, "RECONCILED", 0.3)
    watched = watch_over(account_of(server, filed={}, poll=0.2))
    server.append(a_letter(1))
    watched.await_arrivals(1)

    server.change_uidvalidity()

    watched.await_arrivals(2)
    assert house.counts()["specs"] == 1


def test_one_login_a_minute_after_a_refusal(server: ScriptedImap, watch_over: WatchOver) -> None:
    """A wrong password must not look like an attack; here the minute is a second."""
    watched = watch_over(account_of(server, credentials=lambda: Password("wrong")), settled=False)
    watched.await_status("login refused")

    server.await_command("AUTHENTICATE|LOGIN", times=3)
    first, second, third = (command.when for command in server.sent("AUTHENTICATE|LOGIN")[:3])

    assert min(second - first, third - second) >= 1.0


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (says_no("[AUTHENTICATIONFAILED] no"), "login refused"),
        (says_no("[UNAVAILABLE] the store is down"), "throttled"),
        (says_no("[LIMIT] Too many simultaneous connections."), "throttled"),
        (says_no("token expired"), "login refused"),
        (says_bad("Request is throttled. Suggested Backoff Time: 1500 milliseconds"), "throttled"),
        (says_bye("going down"), "sent away"),
        (hangs_up, "unreachable"),
        (stalls, "no answer"),
    ],
)
def test_what_went_wrong_at_the_login_is_told_apart(
    act: Act, words: str, server: ScriptedImap, watch_over: WatchOver
) -> None:
    """Each is a state that the operator sees, and passes by itself."""
    server.script("AUTHENTICATE", act)
    watched = watch_over(account_of(server), settled=False)

    watched.await_status(words)
    watched.await_status("waiting for mail")


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_a_token_enters(mechanism: str, watch_over: WatchOver) -> None:
    """By whichever mechanism the server has."""
    with scripted_imap(hidden={"AUTH=OAUTHBEARER", "AUTH=XOAUTH2"} - {f"AUTH={mechanism}"}) as server:
        watched = watch_over(account_of(server, credentials=lambda: Bearer("token", 3600)))

        (attempt,) = server.attempts
        assert (attempt.how, attempt.user, attempt.secret) == (mechanism, "ana", "token")
        watched.end()


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_a_token_that_is_refused_is_refused_once(mechanism: str, watch_over: WatchOver) -> None:
    """The server's complaint is acknowledged and not answered with the token again."""
    with scripted_imap(hidden={"AUTH=OAUTHBEARER", "AUTH=XOAUTH2"} - {f"AUTH={mechanism}"}) as server:
        watched = watch_over(account_of(server, credentials=lambda: Bearer("old", 3600)), settled=False)
        watched.await_status("login refused")

        assert {attempt.secret for attempt in server.attempts} == {"old"}
        assert "old" not in watched.watch.status()
        watched.end()


def test_a_token_is_renewed_before_it_ends(server: ScriptedImap, watch_over: WatchOver) -> None:
    """At 80 % of its life the session begins anew with the next, and no mail is missed."""
    given: list[Bearer] = []

    def token() -> Bearer:
        given.append(Bearer("token", 0.5))
        return given[-1]

    watched = watch_over(account_of(server, credentials=token))
    server.await_command("^AUTHENTICATE", times=3)
    server.append(a_letter(1))

    watched.await_arrivals(1)
    assert len(given) >= 3


def test_without_consent_nobody_connects(server: ScriptedImap, watch_over: WatchOver) -> None:
    """The state says what a person has to do."""

    def refused() -> Bearer:
        raise ConsentError("run specpost oauth login specs")

    watched = watch_over(account_of(server, credentials=refused), settled=False)

    watched.await_status("no consent (run specpost oauth login specs)")
    assert server.connections == 0


def test_a_connection_into_a_black_hole_is_given_up(
    box: Box, watch_over: WatchOver, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes and nothing is refused: the time of a command ends, and the next session works."""
    monkeypatch.setattr(session, "COMMAND", 0.5)
    with proxied(dovecot.host, dovecot.port) as proxy:
        watched = watch_over(account_of(box, host=proxy.host, port=proxy.port, poll=0.2))
        proxy.black_hole()
        box.append(a_letter(1))
        watched.await_status("no answer")
        proxy.heal()

        watched.await_arrivals(1)
        box.await_count("Processed", 1)
        watched.end()


def test_a_server_that_drips_is_cut_off(
    server: ScriptedImap, watch_over: WatchOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer may take its time, and not for ever, however steadily it comes."""
    monkeypatch.setattr(session, "COMMAND", 1.0)

    def drip(its: Any, _command: Any) -> None:
        while not server.closed.wait(0.2):
            its.say("* OK not yet")
            its.flush()

    server.script("UID FETCH .*BODY", drip)
    watched = watch_over(account_of(server))
    server.append(a_letter(1))
    server.await_command("UID FETCH .*BODY")

    deadline = time.monotonic() + 30
    while not watched.arrivals():
        assert time.monotonic() < deadline, watched.watch.status()
        watched.watch.hurry()
        time.sleep(0.05)
    assert watched.watch.alive()


@pytest.mark.parametrize("how", ["restart", "kill_sessions"])
def test_a_server_that_restarts_is_found_again(how: str, watch_over: WatchOver, tmp_path: Path) -> None:
    """In the middle of IDLE, and in the middle of a backlog."""
    with new_dovecot(tmp_path, mail_fsync="never") as server:
        box = server.new_user()
        watched = watch_over(account_of(box))
        getattr(server, how)()
        box.append_many(a_letter(number) for number in range(300))
        watched.await_arrivals(20)
        getattr(server, how)()

        box.await_count("Processed", 300)
        assert [verdict for _, verdict in watched.arrivals()] == ["accepted"] * 300
        watched.end()


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_only_a_server_that_proves_itself_is_entered(
    tls: str, dovecot: Dovecot, box: Box, watch_over: WatchOver, trusting: ssl.SSLContext
) -> None:
    """A certificate that nobody vouches for gets no password."""
    port = dovecot.tls_port if tls == "implicit" else dovecot.port
    stranger = watch_over(account_of(box, name="a", tls=tls, port=port), settled=False)
    stranger.await_status("not trusted (its certificate: ")
    stranger.end()

    watched = watch_over(account_of(box, name="b", tls=tls, port=port, context=trusting))
    box.append(a_letter(1))
    watched.await_arrivals(1)


def test_a_server_without_starttls_gets_no_password(server: ScriptedImap, watch_over: WatchOver) -> None:
    """Somebody on the way may have taken it out of what the server can."""
    watched = watch_over(account_of(server, tls="starttls"), settled=False)

    watched.await_status("not trusted (the server offers no STARTTLS)")
    assert server.attempts == []


def test_what_is_deferred_is_tried_again(server: ScriptedImap, watch_over: WatchOver, house: House) -> None:
    """One mail's DNS keeps no other waiting, and nobody has to write again."""
    deferrals = iter([True, True])

    def take(envelope: Any) -> Future[Outcome]:
        if b"<1@" in envelope.raw and next(deferrals, False):
            later: Future[Outcome] = Future()
            later.set_result(Outcome(Verdict.DEFERRED, reason="the DNS does not answer"))
            return later
        return house.intake.take(envelope)

    watched = watch_over(account_of(server), hands=Hands(take, house.intake.hold, lambda: None))
    server.append(a_letter(1))
    server.append(a_letter(2))

    assert watched.await_arrivals(2) == [(1, "accepted"), (2, "accepted")]
    assert len(server.sent("UID FETCH 1 .*BODY")) >= 2


def test_while_storage_is_down_nothing_is_shelved(
    server: ScriptedImap, watch_over: WatchOver, house: House
) -> None:
    """The loop pauses, says so, and goes on by itself."""
    trouble_now: list[str] = ["storage down"]

    def take(envelope: Any) -> Future[Outcome]:
        if not trouble_now:
            return house.intake.take(envelope)
        later: Future[Outcome] = Future()
        later.set_result(Outcome(Verdict.DEFERRED, reason="OSError"))
        return later

    hands = Hands(take, house.intake.hold, lambda: trouble_now[0] if trouble_now else None)
    watched = watch_over(account_of(server), hands=hands)
    server.append(a_letter(1))
    watched.await_status("recording is down (storage down)")
    assert server.count() == 1

    trouble_now.clear()

    watched.await_arrivals(1)
