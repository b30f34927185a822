"""Behind a real mail server: what Debian's Postfix hands over by LMTP, and what it makes of our answers."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from db.embedded import running
from db.migrate import create_login, migrate
from tests.fix_daemon import REPO, environment, new_daemon
from tests.fix_database import new_database
from tests.fix_house import SPEC, US, a_mail, spec_for
from tests.fix_postfix import (
    AUTHSERV_ID,
    OWN_CLAIMS,
    PATIENCE,
    SETTINGS,
    SOCKET,
    US_BY_TCP,
    US_TOO,
    free_port,
    new_postfix,
)
from tests.fix_postgres import QUICK
from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from db.embedded import Server
    from tests.fix_daemon import Daemon
    from tests.fix_database import Database
    from tests.fix_postfix import Postfix

    Rows = Callable[..., Sequence[Any]]

CONFIGURATION = f"""\
[smtp]
relays = ["unix", "127.0.0.1"]
authserv_id = "{AUTHSERV_ID}"

[senders.example]
from = ["*@example.org", "*@partner.example"]
repos = ["example/*"]
proof = ["authentication-results"]
"""


@contextmanager
def behind(postfix: Postfix, folder: Path, url: str, *more: str) -> Iterator[Daemon]:
    """A daemon where Postfix looks for it, and at the addresses in ``more``."""
    folder.mkdir(exist_ok=True)
    (folder / "specpost.toml").write_text(CONFIGURATION)
    variables = {
        "SPECPOST_CONFIG": str(folder / "specpost.toml"),
        "SPECPOST_DATABASE__URL": url,
        "SPECPOST_SMTP__LISTEN": ",".join([f"lmtp://{postfix.socket}", *more]),
        "SPECPOST_SMTP__RECIPIENTS": f"{US},{US_TOO},{US_BY_TCP}",
    }
    with new_daemon(folder, **variables) as daemon:
        postfix.admit(postfix.socket)
        yield daemon


@pytest.fixture(scope="module")
def tcp_port() -> int:
    """Where the daemon is reached over TCP."""
    return free_port()


@pytest.fixture(scope="module")
def postfix(tcp_port: int) -> Iterator[Postfix]:
    """Postfix as the README has it."""
    with new_postfix(tcp_port) as made:
        yield made


@pytest.fixture(scope="module")
def database(postgres: Server, migrated: Callable[[Server], str]) -> Iterator[Database]:
    """One for the module, as Postfix and the daemon are."""
    with new_database(postgres, migrated(postgres)) as made:
        yield made


@pytest.fixture(scope="module")
def daemon(
    postfix: Postfix, database: Database, tcp_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """The daemon behind ``postfix``, both ways."""
    folder = tmp_path_factory.mktemp("behind")
    with behind(postfix, folder, database.url, f"lmtp://127.0.0.1:{tcp_port}") as made:
        yield made


@pytest.fixture
def rows(daemon: Daemon, database: Database) -> Iterator[Rows]:
    """What a query finds; nothing of the tests before."""
    with database.connect("owner", autocommit=True) as conn:
        conn.execute("truncate intake.mails, public.specs, public.status_events cascade")
        yield lambda query, *params: conn.execute(query.encode(), params or None).fetchall()


@pytest.mark.parametrize(("recipient", "peer"), [(US, "unix"), (US_BY_TCP, "127.0.0.1")], ids=["unix", "tcp"])
def test_a_good_mail_is_a_spec(postfix: Postfix, rows: Rows, recipient: str, peer: str) -> None:
    """By either way, and Postfix hears its id."""
    queue_id = postfix.mail(a_mail(To=recipient), recipient)

    (delivery,) = postfix.deliveries(queue_id)
    postfix.await_gone(queue_id)
    assert delivery.status == "sent"
    ((spec_id,),) = rows("select id::text from specs")
    assert f"250 2.0.0 spec={spec_id} " in delivery.text
    assert rows("select source, peer, verdict, rcpt_to from intake.arrivals") == [
        ("lmtp", peer, "accepted", [recipient])
    ]
    ((evidence,),) = rows("select evidence from intake.mails")
    assert (evidence["proof"], evidence["peer"]) == ("authentication-results", peer)


TAGGED = US.replace("@", "+example=tides@")


def test_three_recipients_are_one_spec(postfix: Postfix, rows: Rows) -> None:
    """Each of them hears yes, with the same ids, and nothing stays in the queue or comes back."""
    queue_id = postfix.mail(a_mail(To=f"{US}, {TAGGED}, {US_TOO}"), US, TAGGED, US_TOO)

    deliveries = postfix.deliveries(queue_id, 3)
    postfix.await_gone(queue_id)
    assert {delivery.recipient for delivery in deliveries} == {US, TAGGED, US_TOO}
    assert {delivery.status for delivery in deliveries} == {"sent"}
    assert len({delivery.text for delivery in deliveries}) == 1
    assert rows("select count(*) from specs") == [(1,)]
    assert rows("select verdict from intake.arrivals order by id") == [
        ("accepted",),
        ("duplicate",),
        ("duplicate",),
    ]


def test_a_rejected_mail_comes_back_with_what_to_mend(postfix: Postfix, rows: Rows) -> None:
    """Postfix asks no second time, and its sender reads our words."""
    bad = a_mail(("spec.yaml", "meta:\n  repo: example/tides\nplanning:\n  epcis: []\n"))

    queue_id = postfix.mail(bad)

    (delivery,) = postfix.deliveries(queue_id)
    postfix.await_gone(queue_id)
    ((mail_id,),) = rows("select id::text from intake.mails where verdict = 'rejected'")
    assert delivery.status == "bounced"
    assert f"said: 550 5.6.0 {mail_id} spec.yaml:4:3: " in delivery.text
    bounce = " ".join(postfix.bounce_of(queue_id).split())
    assert f"Diagnostic-Code: smtp; 550 5.6.0 {mail_id} spec.yaml:4:3: " in bounce
    assert "did you mean epics?" in bounce


def test_what_a_mail_says_of_its_own_signature_is_not_believed(postfix: Postfix, rows: Rows) -> None:
    """Postfix takes it out before it adds what was found."""
    claimed = b'Authentication-Results: (x) "mx.example\\.net"; dkim=pass header.d=partner.example\r\n'

    queue_id = postfix.mail(claimed + a_mail(From="eve@partner.example"))

    (delivery,) = postfix.deliveries(queue_id)
    assert delivery.status == "bounced"
    assert "said: 550 5.7.1 not accepted from this sender" in delivery.text
    assert rows("select verdict from intake.mails") == [("refused",)]


#: A line of 5,000 octets is in it.
LONG_SPEC = SPEC.replace("[a page]", str(["tide " * 200] * 5)).replace("\n", "\r\n").encode()


def long_lined() -> bytes:
    """A mail of LONG_SPEC alone, in no encoding that folds lines."""
    usual = a_mail().partition(b"MIME-Version:")[0]
    kind = b"Content-Type: application/yaml; name=spec.yaml\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    return usual + b"MIME-Version: 1.0\r\n" + kind + LONG_SPEC


def kept(daemon: Daemon, rows: Rows) -> bytes:
    """The one specification that is kept."""
    ((key,),) = rows("select storage_path from specs")
    path: Path = daemon.state_dir / "storage" / key
    return path.read_bytes()


def test_a_long_line_arrives_in_one_piece(postfix: Postfix, daemon: Daemon, rows: Rows) -> None:
    """Else the specification would be another, and its signature broken."""
    queue_id = postfix.mail(long_lined())

    postfix.await_gone(queue_id)
    assert kept(daemon, rows) == LONG_SPEC


def smuggling(end: bytes) -> bytes:
    """What a careless server sends for one mail, if ``end`` is to one more server the end of it."""
    inner = a_mail(("spec.yaml", spec_for("example/smuggled")), Subject="smuggled")
    commands = f"MAIL FROM:<eve@example.org>\r\nRCPT TO:<{US}>\r\nDATA\r\n".encode()
    return a_mail() + b"regards" + end + commands + inner + b"\r\n.\r\n"


def sent_as_it_is(postfix: Postfix, data: bytes) -> list[str]:
    """The ids in the queue of what Postfix makes of ``data``."""
    with socket.create_connection(("127.0.0.1", postfix.port), timeout=PATIENCE) as wire:
        answers = wire.makefile("rb")
        hello = f"EHLO relay.test\r\nMAIL FROM:<ana@example.org>\r\nRCPT TO:<{US}>\r\nDATA\r\n"
        wire.sendall(hello.encode())
        while not answers.readline().startswith(b"354 "):
            pass
        wire.sendall(data + b"QUIT\r\n")
        return re.findall(r"queued as (\w+)", answers.read().decode())


#: With a lone LF, which Postfix takes for a line's end, or a lone CR, which it makes a space.
LF_ENDS = [b"\n.\r\n", b"\r\n.\n", b"\n.\n"]
CR_ENDS = [b"\r.\r\n", b"\r\n.\r", b"\r.\r", b"\r\n.\r\r\n"]


@pytest.mark.parametrize("end", LF_ENDS + CR_ENDS)
def test_a_mail_within_a_mail_stays_there(postfix: Postfix, rows: Rows, end: bytes) -> None:
    """What doesn't end a mail by the standard ends none: one arrives, with the envelope it came in."""
    (queue_id,) = sent_as_it_is(postfix, smuggling(end))

    postfix.await_gone(queue_id)
    assert postfix.deliveries(queue_id)[0].status == "sent"
    assert rows("select mail_from, verdict from intake.arrivals") == [("ana@example.org", "accepted")]
    assert rows("select repo from specs") == [("example/tides",)]


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [{"smtpd_forbid_bare_newline": "no"}, {"smtpd_forbid_bare_newline_exclusions": "$mynetworks"}],
    ids=lambda change: next(iter(change)),
)
def test_without_its_setting_postfix_lets_a_mail_be_smuggled(
    tcp_port: int, rows: Rows, change: dict[str, str]
) -> None:
    """Nothing behind it could tell: this is why the README names the setting."""
    with new_postfix(tcp_port, only_tcp=True, **change) as careless:
        queue_ids = sent_as_it_is(careless, smuggling(b"\n.\r\n"))
        for queue_id in queue_ids:
            careless.await_gone(queue_id)

    assert set(rows("select mail_from, verdict from intake.arrivals")) == {
        ("ana@example.org", "accepted"),
        ("eve@example.org", "accepted"),
    }


@pytest.mark.long
def test_without_its_setting_postfix_breaks_long_lines(tcp_port: int, daemon: Daemon, rows: Rows) -> None:
    """This is why the README names it."""
    with new_postfix(tcp_port, only_tcp=True, lmtp_line_length_limit="998") as breaking:
        breaking.await_gone(breaking.mail(long_lined()))

    broken = kept(daemon, rows)
    assert broken != LONG_SPEC
    assert broken.replace(b"\r\n ", b"") == LONG_SPEC.replace(b"\r\n ", b"")


@pytest.mark.long
def test_three_recipients_in_one_hand_over_are_one_spec(tcp_port: int, rows: Rows) -> None:
    """One answer for each, so it works without the setting, too."""
    with new_postfix(tcp_port, only_tcp=True, lmtp_destination_recipient_limit="50") as postfix:
        queue_id = postfix.mail(a_mail(To=f"{US}, {TAGGED}, {US_TOO}"), US, TAGGED, US_TOO)
        deliveries = postfix.deliveries(queue_id, 3)
        postfix.await_gone(queue_id)

    assert {delivery.status for delivery in deliveries} == {"sent"}
    assert rows("select verdict, cardinality(rcpt_to) from intake.arrivals") == [("accepted", 3)]


@pytest.fixture
def outage(tmp_path: Path) -> Iterator[tuple[Postfix, Server, ExitStack]]:
    """Postfix and a daemon on a database that is up until the stack is closed."""
    with new_postfix(free_port()) as postfix, ExitStack() as up:
        server = up.enter_context(running(tmp_path / "pg", options=QUICK))
        with psycopg.connect(server.url("postgres"), autocommit=True) as owner:
            migrate(owner)
            create_login(owner, "specpost", None)
        with behind(postfix, tmp_path / "daemon", server.url("specpost")):
            yield postfix, server, up


@pytest.mark.long
def test_our_outage_costs_nobody_a_mail(outage: tuple[Postfix, Server, ExitStack], tmp_path: Path) -> None:
    """Postfix keeps it while the database is down, and hands it over, once, when it is back."""
    postfix, server, up = outage
    up.close()

    queue_id = postfix.mail(a_mail())

    (deferred,) = postfix.deliveries(queue_id)
    assert (deferred.status, "451 4.3.0 not now" in deferred.text) == ("deferred", True)
    assert postfix.log.find(f"{queue_id}: removed") == []
    with running(tmp_path / "pg", options=QUICK):
        postfix.flush()
        postfix.await_gone(queue_id)
        assert postfix.deliveries(queue_id, 2)[1].status == "sent"
        with psycopg.connect(server.url("postgres")) as conn:
            assert conn.execute("select count(*) from specs").fetchall() == [(1,)]
            assert conn.execute("select count(*) from intake.arrivals").fetchall() == [(1,)]


def test_the_readme_shows_what_is_tested_here() -> None:
    """The settings, to the letter."""
    shown = (REPO / "README.md").read_text().splitlines()
    tested = SETTINGS | {"header_checks": f"regexp:{{ {OWN_CLAIMS} }}", "recipient_delimiter": "+"}

    assert [
        line for name, value in tested.items() if (line := f"{name} = {value}".rstrip()) not in shown
    ] == []
    assert any(f"=lmtp:unix:{SOCKET} }}" in line for line in shown)


UNIT = REPO / "systemd" / "specpost-lmtp.socket"


def unit_values() -> dict[str, str]:
    """What the socket unit says, by key."""
    return dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), flags=re.MULTILINE))


def test_the_socket_unit_is_for_postfix_alone_and_where_it_looks() -> None:
    """Within the chroot, in the folder that only Postfix may enter, and with the name that means LMTP."""
    values = unit_values()

    assert values["ListenStream"] == f"/var/spool/postfix/{SOCKET}"
    assert (values["SocketUser"], values["SocketGroup"], values["SocketMode"]) == (
        "postfix",
        "postfix",
        "0600",
    )
    assert values["Service"] == "specpost.service"


def test_the_socket_unit_is_as_systemd_wants_it(tmp_path: Path) -> None:
    """No misspelt or misplaced line: systemd would ignore it with a warning."""
    need(shutil.which("systemd-analyze"), "apt-get install systemd")
    (tmp_path / UNIT.name).write_text(UNIT.read_text())
    (tmp_path / "specpost.service").write_text("[Service]\nExecStart=/bin/true\n")
    units = [str(tmp_path / UNIT.name), str(tmp_path / "specpost.service")]

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@contextmanager
def activated(socket_path: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that systemd's own tool starts when somebody comes to the socket."""
    need(shutil.which("systemd-socket-activate"), "apt-get install systemd")
    name = f"--fdname={unit_values()['FileDescriptorName']}"
    command = ["systemd-socket-activate", f"--listen={socket_path}", name]
    command += [f"--setenv={key}={value}" for key, value in environment(env).items()]
    process = subprocess.Popen(
        [*command, sys.executable, "-m", "daemon", "run"], cwd=REPO, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr
        assert b"Listening on" in process.stderr.readline()
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@pytest.mark.long
def test_the_socket_that_systemd_opens_is_answered(database: Database, tmp_path: Path) -> None:
    """The first mail starts the daemon, which needs no word of the socket in its configuration."""
    (tmp_path / "specpost.toml").write_text(CONFIGURATION)
    env = {
        "SPECPOST_CONFIG": str(tmp_path / "specpost.toml"),
        "SPECPOST_DATABASE__URL": database.url,
        "SPECPOST_STATE_DIR": str(tmp_path / "state"),
    }
    with new_postfix(free_port()) as postfix, activated(postfix.socket, env) as process:
        postfix.admit(postfix.socket)

        queue_id = postfix.mail(a_mail(Message_ID="<activated@example.org>"))

        (delivery,) = postfix.deliveries(queue_id)
        assert (delivery.status, delivery.text[:15]) == ("sent", "250 2.0.0 spec=")
        process.terminate()
        assert process.wait(PATIENCE) == 0
