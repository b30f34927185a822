"""The daemon from outside: mail goes in at one end, rows come out at the other."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import cycle
from typing import TYPE_CHECKING

import psycopg
import pytest

from daemon import whereabouts
from daemon.commands.posting import wrap
from daemon.database import UnfitError
from daemon.database import url as configured_url
from daemon.settings import load
from db.embedded import running
from db.migrate import create_login, migrate
from tests.fix_daemon import PATIENCE, REPO, SHARED, environment, new_daemon, specpost
from tests.fix_house import US, a_mail
from tests.fix_postgres import QUICK
from tests.parts import need

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

UPSTREAM = sorted((SHARED / "specs" / "upstream-yaml").glob("*.yaml"))


def ids(answer: str) -> tuple[str, str]:
    """The spec's and the mail's id that a 250 names."""
    match = re.fullmatch(r"2\.0\.0 spec=([0-9a-f-]{36}) mail=([0-9a-f-]{36})", answer)
    assert match, answer
    return match[1], match[2]


def test_the_walk(daemon: Daemon, database: Database) -> None:
    """A mail by SMTP is a spec with its sprints, the answer names it, and the log tells it."""
    code, answer = daemon.mail(a_mail())

    assert code == 250
    spec_id, mail_id = ids(answer)
    with database.connect("owner") as conn:
        assert conn.execute("select id::text from specs").fetchall() == [(spec_id,)]
        assert conn.execute("select id::text, verdict from intake.mails").fetchall() == [
            (mail_id, "accepted")
        ]
        assert conn.execute("select count(*) from sprints").fetchall() == [(2,)]
    assert daemon.events()[-3:] == ["SPEC_RECEIVED", "PLANNING", "mail"]
    assert daemon.log()[-1]["mail"] == mail_id


def test_rejected_says_what_to_mend(daemon: Daemon) -> None:
    """The sender is told the first problem, where it is, and how many more there are."""
    code, answer = daemon.mail(
        a_mail(("spec.yaml", "meta:\n  repo: example/tides\nplanning:\n  epcis: []\n"))
    )

    assert code == 550
    assert re.fullmatch(r"5\.6\.0 [0-9a-f-]{36} spec\.yaml:4:3: .*did you mean epics.*", answer)


@pytest.mark.skipif(not UPSTREAM, reason="needs the folder shared/specs beside the checkout")
@pytest.mark.parametrize("file", UPSTREAM or [REPO], ids=lambda path: path.name.rpartition("__")[2])
def test_documents_of_the_existing_system_arrive_to_the_byte(
    daemon: Daemon, database: Database, file: Path
) -> None:
    """Accents and emoji included; the manifest of sprints alone is no specification, and is told so."""
    code, answer = daemon.mail(wrap({file.name: file.read_bytes()}, "ana@example.org", US, None))

    if "current_manifest" in file.name:
        assert (code, "meta" in answer) == (550, True)
        return
    assert code == 250
    with database.connect("owner") as conn:
        ((key,),) = conn.execute("select storage_path from specs").fetchall()
    assert (daemon.state_dir / "storage" / key).read_bytes() == file.read_bytes()


def test_swaks_mails_a_specification(daemon: Daemon, tmp_path: Path) -> None:
    """A client that is not ours is understood."""
    need(shutil.which("swaks"), "apt-get install swaks")
    spec = tmp_path / "spec.yaml"
    spec.write_text("meta: {repo: example/été}\n".replace("été", "tides") + "# à bientôt\n")
    host, port = daemon.smtp

    done = subprocess.run(
        [
            "swaks",
            "--server",
            f"{host}:{port}",
            "--from",
            "ana@example.org",
            "--to",
            US,
            "--attach",
            f"@{spec}",
        ],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )

    assert b"<-  250 2.0.0 spec=" in done.stdout, done.stdout
    assert done.returncode == 0


def test_the_same_mail_a_hundred_times_in_parallel_is_one_spec_and_a_hundred_yeses(
    daemon: Daemon, database: Database
) -> None:
    """A second delivery changes nothing, however it races the first."""
    with ThreadPoolExecutor(32) as senders:
        answers = list(senders.map(lambda _: daemon.mail(a_mail()), range(100)))

    assert {code for code, _ in answers} == {250}
    assert len({text for _, text in answers}) == 1
    with database.connect("owner") as conn:
        assert conn.execute("select count(*) from specs").fetchall() == [(1,)]
        assert conn.execute("select count(*) from intake.arrivals").fetchall() == [(100,)]


def test_a_database_that_goes_away_defers_and_service_resumes_by_itself(tmp_path: Path) -> None:
    """An outage is our trouble: 451 while it lasts, and nobody has to restart anything."""
    with running(tmp_path / "pg", options=QUICK) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as owner:
            migrate(owner)
            create_login(owner, "specpost", None)
        postgres = running(tmp_path / "pg", options=QUICK)
        url = server.url("specpost")
    postgres.__enter__()
    with new_daemon(tmp_path / "daemon", SPECPOST_DATABASE__URL=url) as daemon:
        assert daemon.mail(a_mail(Message_ID="<1@example.org>"))[0] == 250
        postgres.__exit__(None, None, None)

        assert daemon.mail(a_mail(Message_ID="<2@example.org>")) == (
            451,
            "4.3.0 not now: please try again later",
        )
        assert "database down" in daemon.events()

        with running(tmp_path / "pg", options=QUICK):
            deadline = time.monotonic() + PATIENCE
            code = 451
            while code == 451 and time.monotonic() < deadline:
                code, _ = daemon.mail(a_mail(Message_ID="<2@example.org>"))
            assert code == 250
            assert "database up" in daemon.events()


def test_a_daemon_waits_for_a_database_that_is_down_at_start(tmp_path: Path) -> None:
    """After a reboot nobody knows who comes up first."""
    with running(tmp_path / "pg", options=QUICK) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as owner:
            migrate(owner)
            create_login(owner, "specpost", None)
        url = server.url("specpost")
    started = time.monotonic()
    with ThreadPoolExecutor(1) as later:

        def bring_up() -> None:
            log = tmp_path / "daemon" / "log"
            while not (log.exists() and "database down" in log.read_text()):
                time.sleep(0.05)
                assert time.monotonic() - started < PATIENCE
            postgres.__enter__()

        postgres = running(tmp_path / "pg", options=QUICK)
        coming = later.submit(bring_up)
        with new_daemon(tmp_path / "daemon", SPECPOST_DATABASE__URL=url) as daemon:
            coming.result()
            assert daemon.mail(a_mail())[0] == 250
        postgres.__exit__(None, None, None)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_when_asked_to(daemon: Daemon, how: signal.Signals) -> None:
    """Status 0, the last word in the log, and no run.json that points nowhere."""
    assert daemon.stop(how) == 0
    assert daemon.events()[-2:] == ["stopping", "stopped"]
    assert not (daemon.state_dir / "run.json").exists()


def test_an_impatient_operator_does_not_spoil_the_end(tmp_path: Path) -> None:
    """A signal that comes while the parts are taken apart leaves no database behind."""
    with new_daemon(tmp_path / "daemon") as daemon:
        for number in cycle([signal.SIGTERM, signal.SIGINT]):
            daemon.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                daemon.process.wait(0.02)
                break

        assert daemon.events()[-1] == "stopped"
        assert not list(daemon.state_dir.rglob("postmaster.pid"))


def test_a_daemon_that_waits_for_its_database_can_be_stopped(tmp_path: Path) -> None:
    """Nobody has to kill it."""
    url = f"postgresql:///postgres?host={tmp_path}&user=nobody"
    with subprocess.Popen(
        [sys.executable, "-m", "daemon", "run"],
        env=environment({"SPECPOST_STATE_DIR": str(tmp_path), "SPECPOST_DATABASE__URL": url}),
        stderr=subprocess.PIPE,
        cwd=REPO,
    ) as process:
        assert process.stderr
        while b'"database down"' not in process.stderr.readline():
            assert process.poll() is None
        process.terminate()
        told = process.stderr.read()

    assert process.returncode == 0
    assert b'"stopped"' in told
    assert b"Traceback" not in told


@pytest.mark.long
@pytest.mark.parametrize("moment", range(20))
def test_it_can_be_stopped_at_any_moment_of_its_start(tmp_path: Path, moment: int) -> None:
    """Every 50 ms of the first second: status 0, and nobody left running."""
    env = {"SPECPOST_STATE_DIR": str(tmp_path), "SPECPOST_SMTP__LISTEN": "127.0.0.1:0"}
    with subprocess.Popen(
        [sys.executable, "-m", "daemon", "run"], env=environment(env), stderr=subprocess.PIPE, cwd=REPO
    ) as process:
        assert process.stderr
        assert b'"starting"' in process.stderr.readline()
        time.sleep(moment * 0.05)
        process.terminate()
        told = process.stderr.read()

    assert process.returncode == 0
    assert b'"stopped"' in told
    assert b"Traceback" not in told
    assert not list(tmp_path.rglob("postmaster.pid"))


def _is_open(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionError:  # refused, or reset where the door closed on us halfway
        return False
    return True


def test_a_mail_under_way_is_finished_before_the_end(daemon: Daemon) -> None:
    """Who has been told to send is heard out."""
    with closing(smtplib.SMTP(*daemon.smtp, timeout=PATIENCE)) as client:
        client.ehlo()
        client.mail("ana@example.org")
        client.rcpt(US)
        client.putcmd("data")
        assert client.getreply()[0] == 354
        daemon.process.send_signal(signal.SIGTERM)
        while _is_open(client.sock.getpeername()):
            pass

        client.send(a_mail() + b".\r\n")

        assert client.getreply()[0] == 250
    assert daemon.process.wait(PATIENCE) == 0


def test_two_services_share_a_port(database: Database, tmp_path: Path) -> None:
    """Each gets some of the connections, a mail to both is one spec, and one alone goes on."""
    shared = {"SPECPOST_DATABASE__URL": database.url, "SPECPOST_SMTP__REUSE_PORT": "true"}
    shared["SPECPOST_STORAGE__URL"] = f"file:{tmp_path / 'storage'}"
    with new_daemon(tmp_path / "one", **shared) as one:
        listen = "{}:{}".format(*one.smtp)
        with new_daemon(tmp_path / "two", listen=listen, **shared) as two:
            raw = a_mail()
            answers = set()
            for _ in range(100):  # the kernel throws dice: that all fall alike is once in 2**99
                answers.add(one.mail(raw))
                if "mail" in one.events() and "mail" in two.events():
                    break
            assert "mail" in one.events()
            assert "mail" in two.events()
            assert {code for code, _ in answers} == {250}
            assert len(answers) == 1
            assert two.stop() == 0
        assert one.mail(raw) in answers


def test_a_killed_daemon_leaves_nothing_that_misleads_the_next(database: Database, tmp_path: Path) -> None:
    """After kill -9 its whereabouts are not believed, and the next one starts as if nothing had been."""
    with new_daemon(tmp_path / "daemon", SPECPOST_DATABASE__URL=database.url) as daemon:
        assert daemon.mail(a_mail())[0] == 250
        daemon.stop(signal.SIGKILL)
        assert whereabouts.find(daemon.state_dir) is None
    with new_daemon(tmp_path / "daemon", SPECPOST_DATABASE__URL=database.url) as daemon:
        assert daemon.mail(a_mail())[0] == 250


def test_starttls_with_the_configured_certificate(database: Database, tmp_path: Path) -> None:
    """A certificate in the settings is all it takes."""
    need(shutil.which("openssl"), "apt-get install openssl")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-keyout",
            str(key),
            "-out",
            str(cert),
        ],
        check=True,
        capture_output=True,
    )
    tls = {"SPECPOST_SMTP__TLS_CERT": str(cert), "SPECPOST_SMTP__TLS_KEY": str(key)}
    with (
        new_daemon(tmp_path / "daemon", SPECPOST_DATABASE__URL=database.url, **tls) as daemon,
        smtplib.SMTP(*daemon.smtp, timeout=PATIENCE) as client,
    ):
        client.starttls()
        client.sendmail("ana@example.org", [US], a_mail())

    with database.connect("owner") as conn:
        assert conn.execute("select count(*) from specs").fetchall() == [(1,)]


@pytest.mark.parametrize("who", ["superuser", "bypassrls", "owner"])
def test_a_role_that_may_too_much_is_refused_with_what_mends_it(database: Database, who: str) -> None:
    """The daemon works with its own narrow rights or not at all; the two commands are in the message."""
    with database.connect("owner", autocommit=True) as conn:
        conn.execute(f"drop role if exists mighty_{who}".encode())
        conn.execute(f"create role mighty_{who} login {'' if who == 'owner' else who}".encode())
        conn.execute(f"grant specpost_daemon to mighty_{who}".encode())
        if who == "owner":
            conn.execute(b"alter table public.specs owner to mighty_owner")
    url = database.server.url(f"mighty_{who}", database.name)

    done = specpost("run", env={"SPECPOST_DATABASE__URL": url})

    assert done.returncode == 78
    assert who in done.stderr
    assert "specpost migrate\n" in done.stderr
    assert "--create-login" in done.stderr


def test_an_older_schema_is_refused_with_the_command(empty_database: Database) -> None:
    """A foreign database is never migrated behind its owner's back."""
    with empty_database.connect("owner", autocommit=True) as conn:
        migrate(conn)
        create_login(conn, "specpost", None)
        newest = conn.execute("select max(version) from supabase_migrations.schema_migrations").fetchall()[0]
        conn.execute("delete from supabase_migrations.schema_migrations where version = %s", newest)

    done = specpost("run", env={"SPECPOST_DATABASE__URL": empty_database.url})

    assert done.returncode == 78
    assert "lacks 1 of this release's migrations" in done.stderr
    assert "specpost migrate" in done.stderr


def test_a_newer_schema_is_said_and_worked_with(database: Database, tmp_path: Path) -> None:
    """Daemons are upgraded after their database."""
    with database.connect("owner", autocommit=True) as conn:
        conn.execute("insert into supabase_migrations.schema_migrations (version) values ('29990101000000')")

    with new_daemon(tmp_path / "daemon", SPECPOST_DATABASE__URL=database.url) as daemon:
        assert daemon.mail(a_mail())[0] == 250
        assert "database newer" in daemon.events()


@pytest.mark.parametrize("url", ["postgresql://me:se/cret@h/x", "postgresql://me:secret@h/x?sslmood=1"])
def test_what_is_no_url_is_said_of_its_key(url: str) -> None:
    """And without what it holds."""
    settings = load(None, {"SPECPOST_CONFIG": os.devnull, "SPECPOST_DATABASE__URL": url})
    with pytest.raises(UnfitError, match=r"^\[database\] url: ") as refused, configured_url(settings):
        pytest.fail("it is taken")

    assert "cret" not in str(refused.value)


def test_no_password_reaches_the_log(database: Database, tmp_path: Path) -> None:
    """Not at start, not in an error."""
    url = database.url + "&password=s3cr3t-pass"
    with new_daemon(tmp_path / "daemon", SPECPOST_DATABASE__URL=url) as daemon:
        assert daemon.mail(a_mail())[0] == 250
        daemon.stop()

    assert "s3cr3t-pass" not in daemon.log_file.read_text()
    assert json.dumps(daemon.log()[1]).count("***") == 1


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("socket.create_server(('0.0.0.0', 0))", b"on the inherited socket 0.0.0.0:"),
        (
            "socket.create_server(sys.argv[1], family=socket.AF_UNIX)",
            b"on the inherited socket lmtp:///",
        ),
    ],
    ids=["beyond loopback", "a UNIX socket"],
)
def test_an_inherited_socket_that_strangers_reach_is_refused(
    database: Database, tmp_path: Path, made: str, named: bytes
) -> None:
    """While nobody is named who may send, nobody from outside may reach us by any door."""
    script = (
        "import os, socket, sys\n"
        f"s = {made}\n"
        "os.dup2(s.fileno(), 3)\n"
        "os.set_inheritable(3, True)\n"
        "os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())}\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'daemon', 'run'])\n"
    )
    env = environment({"SPECPOST_DATABASE__URL": database.url})
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "socket")],
        env=env,
        capture_output=True,
        check=False,
        cwd=REPO,
        timeout=60,
    )

    assert done.returncode == 78
    assert named in done.stderr


@pytest.mark.long
def test_an_embedded_database_that_dies_is_started_again(tmp_path: Path) -> None:
    """It has no other keeper than the daemon."""
    with new_daemon(tmp_path / "daemon", WATCHDOG_USEC="400000") as daemon:
        assert daemon.mail(a_mail(Message_ID="<1@example.org>"))[0] == 250
        (pid_file,) = daemon.state_dir.glob("pg-*/postmaster.pid")
        os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)

        deadline = time.monotonic() + PATIENCE
        code = 451
        while code == 451 and time.monotonic() < deadline:
            code, _ = daemon.mail(a_mail(Message_ID="<2@example.org>"))

    assert code == 250
