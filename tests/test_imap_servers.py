"""The IMAP servers and the network that tests are run against do what they say."""

from __future__ import annotations

import imaplib
import socket
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import imapclient
import pytest

from tests.fix_dovecot import new_dovecot
from tests.fix_pymap import new_pymap
from tests.proxy import proxied
from tests.scripted_imap import (
    Script,
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

    from tests.fix_dovecot import Account, Box, Dovecot
    from tests.scripted_imap import Act, ScriptedImap

#: Seconds a client waits, on a machine that has other work too; and those in which nothing should come.
PATIENCE, A_MOMENT = 60, 0.3

MAIL = b"Subject: one\r\n\r\nbody\r\n"
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WHOLE = ["BODY.PEEK[]", "RFC822.SIZE", "INTERNALDATE"]


@contextmanager
def client(host: str, port: int, timeout: float = PATIENCE, **more: Any) -> Iterator[imapclient.IMAPClient]:
    """An imapclient that has been greeted, hung up in the end."""
    made = imapclient.IMAPClient(host, port, timeout=timeout, **{"ssl": False} | more)
    try:
        yield made
    finally:
        with suppress(OSError):  # logged out
            made.shutdown()


@contextmanager
def at(account: Account, folder: str = "INBOX") -> Iterator[imapclient.IMAPClient]:
    """An imapclient with a folder of an account selected."""
    with client(*account.address) as made:
        made.login(account.user, account.password)
        made.select_folder(folder)
        yield made


@contextmanager
def scripted(*scripts: Script, **more: Any) -> Iterator[tuple[ScriptedImap, imapclient.IMAPClient]]:
    """A scripted server with two mails, and an imapclient that has its INBOX selected."""
    with scripted_imap(*scripts, **more) as server:
        server.append(MAIL, when=WHEN)
        server.append(MAIL + b"two\r\n")
        with client(server.host, server.port) as made:
            made.login("ana", "secret")
            made.select_folder("INBOX")
            yield server, made


@pytest.fixture(params=["dovecot", "pymap"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    """A fresh user of each of the real servers."""
    if request.param == "dovecot":
        yield request.getfixturevalue("box")
    else:
        with new_pymap() as account:
            yield account


def test_real_servers_give_back_what_they_got(account: Account) -> None:
    """Whole or in pieces."""
    uid = account.append(MAIL, when=WHEN)

    with at(account) as made:
        whole = made.fetch([uid], WHOLE)[uid]
        piece = made.fetch([uid], ["BODY.PEEK[]<9.3>"])[uid]

    assert (whole[b"BODY[]"], whole[b"RFC822.SIZE"]) == (MAIL, len(MAIL))
    assert whole[b"INTERNALDATE"].astimezone(UTC) == WHEN
    assert piece[b"BODY[]<9>"] == b"one"
    assert account.flags() == {uid: set()}


def test_real_servers_move_mails(account: Account) -> None:
    """And our own view of a box sees it."""
    uid = account.append(MAIL)
    account.create("Processed")

    with at(account) as made:
        made.move([uid], "Processed")

    account.await_count("Processed", 1)
    assert (account.count(), account.count("Nowhere")) == (0, 0)
    assert account.mails("Processed") == [MAIL]
    assert account.folders() == ["INBOX", "Processed"]


def test_real_servers_let_the_owner_delete(account: Account) -> None:
    """Of two mails, the other stays, unseen."""
    uids = [account.append(MAIL), account.append(MAIL)]

    account.expunge(uids[0])

    assert account.uids() == uids[1:]
    assert account.flags() == {uids[1]: set()}


def test_a_box_sees_the_flags_that_others_set(box: Box) -> None:
    """Those of one mail."""
    uids = [box.append(MAIL), box.append(MAIL)]

    with at(box) as made:
        made.add_flags([uids[1]], ["\\Seen", "specpost"])

    assert box.flags() == {uids[0]: set(), uids[1]: {"\\Seen", "specpost"}}


def test_dovecot_tells_an_idle_client_of_mail(box: Box) -> None:
    """However it comes in."""
    with at(box) as made:
        made.idle()
        box.append(MAIL)
        assert (1, b"EXISTS") in made.idle_check(PATIENCE)
        box.append_many([MAIL])
        assert (2, b"EXISTS") in made.idle_check(PATIENCE)


def test_hundreds_of_mails_are_there_in_a_moment(box: Box) -> None:
    """In the order in which they were given."""
    raws = [b"Subject: %d\r\n\r\n" % number for number in range(800)]
    started = time.monotonic()

    box.append_many(raws)

    assert time.monotonic() - started < 2
    assert box.mails() == raws


def test_dovecot_numbers_mails_anew(box: Box) -> None:
    """They stay, and an old UID is another mail's."""
    box.append_many([MAIL, b"Subject: other\r\n\r\n"])
    box.expunge(1)
    old = box.uidvalidity()

    box.change_uidvalidity()

    with at(box) as made:
        assert made.folder_status("INBOX", ["UIDVALIDITY"]) != {b"UIDVALIDITY": old}
    assert (box.uids(), box.mails()) == ([1], [b"Subject: other\r\n\r\n"])


def test_dovecot_speaks_tls(dovecot: Dovecot, box: Box, trusting: ssl.SSLContext) -> None:
    """With a certificate that only tests trust."""
    with client(dovecot.host, dovecot.tls_port, ssl=True, ssl_context=trusting) as made:
        assert b"Logged in" in made.login(box.user, box.password)


def test_a_crash_drops_the_sessions_and_no_mail(tmp_path: Path) -> None:
    """Without a word to them, while a restart says BYE."""
    with new_dovecot(tmp_path, mail_fsync="never") as server:
        box = server.new_user()
        box.append(MAIL)
        with at(box) as made:
            made.idle()
            server.kill_sessions()
            assert made.socket().recv(1) == b""
        with at(box) as made:
            made.idle()
            server.restart()
            assert made.idle_check(PATIENCE)[0][0] == b"BYE"
        assert box.mails() == [MAIL]


def test_a_stopped_dovecot_is_not_there(tmp_path: Path) -> None:
    """Who connects is refused."""
    with new_dovecot(tmp_path) as server:
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port))


def test_dovecot_is_as_poor_as_a_test_wants_it(tmp_path: Path) -> None:
    """Without capabilities before and after the login, and all folders but INBOX in a namespace of theirs."""
    hidden = ["MOVE", "UIDPLUS", "IDLE", "LITERAL+"]
    with new_dovecot(tmp_path, prefix="INBOX.", hidden=hidden) as server:
        box = server.new_user()
        with client(server.host, server.port) as made:
            early = made.capabilities()
            made.login(box.user, box.password)
            told = {*early, *made.capabilities()}
            namespace = made.namespace().personal
        box.create("INBOX.Processed")
        box.append_many([MAIL], "INBOX.Processed")
        with pytest.raises(AssertionError, match="nonexistent namespace"):
            box.create("Processed")
    assert not told & {name.encode() for name in hidden}
    assert b"NAMESPACE" in told
    assert namespace == (("INBOX.", "."),)


def test_dovecot_has_no_limit_of_sessions(box: Box) -> None:
    """There may be more than its own ten."""
    made = [imaplib.IMAP4(*box.address, timeout=PATIENCE) for _ in range(15)]
    for one in made:
        one.login(box.user, box.password)
    for one in made:
        one.logout()


def test_a_proxy_makes_round_trips_longer(box: Box) -> None:
    """Each by the delay, while many that are under way at once take no longer than one."""
    with proxied(*box.address, delay=0.2) as proxy, client(proxy.host, proxy.port) as made:
        started = time.monotonic()
        made.noop()
        assert time.monotonic() - started >= 0.2
        started = time.monotonic()
        made.socket().sendall(b"".join(b"x%d NOOP\r\n" % number for number in range(50)))
        said = b""
        while b"x49 OK" not in said:
            said += made.socket().recv(65_536)
        assert 0.2 <= time.monotonic() - started < 50 * 0.2
        assert (proxy.connections, proxy.open) == (1, 1)


def test_a_black_hole_is_silent_until_it_heals(box: Box) -> None:
    """For those who are connected, and for those who connect then."""
    with proxied(*box.address) as proxy, client(proxy.host, proxy.port) as made:
        proxy.black_hole()
        made.socket().sendall(b"x NOOP\r\n")
        with socket.create_connection((proxy.host, proxy.port), A_MOMENT) as other:
            with pytest.raises(TimeoutError):
                other.recv(1)
            made.socket().settimeout(A_MOMENT)
            with pytest.raises(TimeoutError):
                made.socket().recv(1)
            proxy.heal()
            for one, heard in ((made.socket(), b"x OK"), (other, b"* OK")):
                one.settimeout(PATIENCE)
                assert one.recv(100).startswith(heard)


def test_a_proxy_drops_connections(box: Box) -> None:
    """With a reset; new ones are served."""
    with proxied(*box.address) as proxy:
        with client(proxy.host, proxy.port) as made:
            proxy.drop()
            with pytest.raises(ConnectionResetError):
                made.socket().recv(1)
        with client(proxy.host, proxy.port) as made:
            made.noop()
        assert proxy.connections == 2


def test_the_scripted_server_is_honest_by_itself() -> None:
    """A whole session of a real client, as the server heard it."""
    with scripted(separator=".") as (server, made):
        assert made.namespace().personal == (("", "."),)
        made.create_folder("Processed")
        made.subscribe_folder("Processed")
        assert made.search(["UID", "2:*"]) == [2]
        assert made.search(["UID", "7:*"]) == [2]
        got = made.fetch([1, 2], [*WHOLE, "FLAGS"])
        assert (got[1][b"BODY[]"], got[1][b"RFC822.SIZE"], got[1][b"FLAGS"]) == (MAIL, len(MAIL), ())
        assert got[1][b"INTERNALDATE"].astimezone(UTC) == WHEN
        assert made.fetch([2], ["BODY.PEEK[]<9.3>"])[2][b"BODY[]<9>"] == b"one"
        made.move([1], "Processed")
        made.copy([2], "Processed")
        made.add_flags([2], ["\\Deleted"])
        made.uid_expunge([2])
        assert [folder[2] for folder in made.list_folders()] == ["INBOX", "Processed"]
        assert made.folder_status("Processed", ["MESSAGES", "UIDNEXT"]) == {b"MESSAGES": 2, b"UIDNEXT": 3}
        made.logout()
        assert server.mails("Processed") == [MAIL, MAIL + b"two\r\n"]
        assert server.count() == 0
        assert len(server.sent("^UID FETCH")) == 2
        assert not server.sent("^EXPUNGE")


def test_the_scripted_server_tells_an_idle_client_of_mail() -> None:
    """And of mail that somebody else took away."""
    with scripted() as (server, made):
        made.idle()
        server.await_command("^IDLE")
        server.append(MAIL)
        assert made.idle_check(PATIENCE) == [(3, b"EXISTS")]
        server.remove(1)
        assert made.idle_check(PATIENCE) == [(1, b"EXPUNGE")]
        made.idle_done()
        assert made.search() == [2, 3]


@pytest.mark.parametrize("how", ["LOGIN", "PLAIN", "XOAUTH2", "OAUTHBEARER"])
def test_the_scripted_server_knows_one_user(how: str) -> None:
    """By a password or a token, and keeps what was tried."""
    ways: dict[str, Callable[[imapclient.IMAPClient, str], Any]] = {
        "LOGIN": lambda made, secret: made.login("ana", secret),
        "PLAIN": lambda made, secret: made.plain_login("ana", secret),
        "XOAUTH2": lambda made, secret: made.oauth2_login("ana", secret),
        "OAUTHBEARER": lambda made, secret: made.oauthbearer_login("ana", secret),
    }
    with scripted_imap() as server, client(server.host, server.port) as made:
        with pytest.raises(imapclient.exceptions.LoginError, match="AUTHENTICATIONFAILED"):
            ways[how](made, "wrong")
        server.password = server.token = "newer"
        ways[how](made, "newer")
        assert [attempt[:3] for attempt in server.attempts] == [(how, "ana", "wrong"), (how, "ana", "newer")]
        assert server.attempts[0].when <= server.attempts[1].when <= time.monotonic()


def test_the_scripted_server_takes_initial_responses_and_literals() -> None:
    """As they come, with or without a wait."""
    with scripted_imap() as server, socket.create_connection((server.host, server.port), PATIENCE) as wire:
        heard = wire.makefile("rb")
        heard.readline()
        wire.sendall(b"1 AUTHENTICATE PLAIN AGFuYQBzZWNyZXQ=\r\n")
        assert heard.readline().startswith(b"1 OK")
        wire.sendall(b"2 CREATE {3+}\r\na b\r\n3 CREATE {1}\r\n")
        assert [heard.readline()[:4] for _ in range(2)] == [b"2 OK", b"+ go"]
        wire.sendall(b"c\r\n")
        assert heard.readline().startswith(b"3 OK")
        heard.close()
        assert sorted(server.folders) == ["INBOX", "a b", "c"]


def test_the_scripted_server_lacks_what_it_does_not_tell_of() -> None:
    """Whoever doesn't ask is refused."""
    with scripted(hidden=["MOVE"]) as (_, made):
        assert not made.has_capability("MOVE")
        with pytest.raises(imaplib.IMAP4.error, match="BAD"):
            made._imap.uid("MOVE", "1", "INBOX")


@pytest.mark.parametrize(
    ("act", "heard"),
    [(without_body(1), "nothing"), (nil_body(1), None), (empty_body(1), b""), (vanished(1), "no such mail")],
    ids=["without body", "NIL", "empty", "vanished"],
)
def test_one_of_two_mails_has_no_body(act: Act, heard: object) -> None:
    """The first time; the other mail has."""
    with scripted(Script("UID FETCH", act)) as (_, made):
        got = made.fetch([1, 2], ["BODY.PEEK[]<0.9>"])
        again = made.fetch([1, 2], ["BODY.PEEK[]<0.9>"])
    assert (got[1].get(b"BODY[]<0>", "nothing") if 1 in got else "no such mail") == heard
    assert got[2][b"BODY[]<0>"] == again[1][b"BODY[]<0>"] == MAIL[:9]


@pytest.mark.parametrize(
    ("act", "trouble"),
    [
        (bye_in_literal, "EOF"),
        (hangs_up, "EOF"),
        (says_bye("later"), "later"),
        (garbage, "unexpected"),
    ],
    ids=["BYE in a literal", "hangs up", "BYE", "garbage"],
)
def test_a_session_ends_badly(act: Act, trouble: str) -> None:
    """The second time, and only then."""
    with scripted(Script("UID FETCH", act, nth=2)) as (server, made):
        made.fetch([1], ["BODY.PEEK[]"])
        with pytest.raises(imaplib.IMAP4.abort, match=trouble):
            made.fetch([1], ["BODY.PEEK[]"])
        with client(server.host, server.port) as other:
            other.login("ana", "secret")
            other.select_folder("INBOX")
            assert other.fetch([1], ["BODY.PEEK[]"])[1][b"BODY[]"] == MAIL
        assert server.connections == 2


def test_a_move_is_done_and_the_answer_lost() -> None:
    """The client can't know."""
    with scripted(Script("UID MOVE", hangs_up_after)) as (server, made):
        made.create_folder("Processed")
        with pytest.raises(imaplib.IMAP4.abort):
            made.move([1], "Processed")
        assert (server.count(), server.count("Processed")) == (1, 1)


def test_a_server_stalls() -> None:
    """Until it is closed."""
    with scripted(Script("NOOP", stalls)) as (_, made):
        made.socket().settimeout(A_MOMENT)
        with pytest.raises(TimeoutError):
            made.noop()


@pytest.mark.parametrize(("says", "code"), [(says_no, "OVERQUOTA"), (says_bad, "LIMIT")], ids=["NO", "BAD"])
def test_a_command_is_refused(says: Callable[[str], Act], code: str) -> None:
    """As often as the script says, and nothing is done."""
    with scripted(Script("UID MOVE", says(f"[{code}] not now"), times=2)) as (server, made):
        made.create_folder("Processed")
        for _ in range(2):
            with pytest.raises(imaplib.IMAP4.error, match=code):
                made.move([1], "Processed")
        assert server.count("Processed") == 0
        made.move([1], "Processed")
        assert server.count("Processed") == 1


def test_a_token_has_expired() -> None:
    """Says the server, having heard it."""
    with (
        scripted_imap(Script("AUTHENTICATE", says_no("token expired"))) as server,
        client(server.host, server.port) as made,
    ):
        with pytest.raises(imapclient.exceptions.LoginError, match="token expired"):
            made.oauth2_login("ana", "token")
        made.oauth2_login("ana", "token")
        assert [attempt.secret for attempt in server.attempts] == ["token", "token"]


def test_a_deaf_server_tells_only_those_who_ask() -> None:
    """The mail is there, and no word of it comes while the client idles."""
    with scripted(Script("IDLE", deaf)) as (server, made):
        made.idle()
        server.await_command("^IDLE")
        server.append(MAIL)
        assert made.idle_check(A_MOMENT) == []
        made.idle_done()
        assert made.search() == [1, 2, 3]


def test_a_server_does_not_greet() -> None:
    """It has too many connections, it says."""
    with (
        scripted_imap(Script("GREETING", says_bye("too many"))) as server,
        pytest.raises(imaplib.IMAP4.error, match="too many"),
    ):
        imapclient.IMAPClient(server.host, server.port, ssl=False, timeout=PATIENCE)


def test_the_scripted_server_speaks_tls(tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """With a certificate that only tests trust."""
    with (
        scripted_imap(tls=tls) as server,
        client("localhost", server.port, ssl=True, ssl_context=trusting) as made,
    ):
        made.login("ana", "secret")


def test_the_scripted_server_numbers_mails_anew() -> None:
    """They stay, and an old UID is another mail's."""
    with scripted() as (server, made):
        server.remove(1)
        server.change_uidvalidity()
        assert made.select_folder("INBOX")[b"UIDVALIDITY"] == 2
        assert made.fetch([1], ["BODY.PEEK[]"])[1][b"BODY[]"] == MAIL + b"two\r\n"
