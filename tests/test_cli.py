"""The commands, as their users type them."""

from __future__ import annotations

import json
import os
import resource
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import psycopg
import pytest

from daemon.cli import main
from db.embedded import running
from tests.fix_daemon import REPO, specpost
from tests.fix_house import SPEC, a_mail
from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A specification in a file."""
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC)
    return file


def test_help_teaches_with_an_example() -> None:
    """Each command says what it does, and shows how."""
    for name, command in main.commands.items():
        text = command.get_help(click.Context(command, info_name=f"specpost {name}"))
        assert f"  specpost {name}" in text or f"specpost {name}" in text.partition("Example")[2], name
        assert "Example" in text, name


def test_help_is_quick() -> None:
    """A command that teaches must not make its reader wait: what is heavy is imported inside the commands."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(5):
        subprocess.run(
            [sys.executable, "-m", "daemon", "run", "--help"], check=True, capture_output=True, cwd=REPO
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 5 < 0.45


def test_an_unknown_key_is_one_line_and_status_78(tmp_path: Path) -> None:
    """A typo in the configuration names the key, the file, the line and the right word."""
    config = tmp_path / "specpost.toml"
    config.write_text("[smtp]\nlisten = '127.0.0.1:0'\nmax_sise = '1 MiB'\n")

    done = specpost("run", "--config", str(config))

    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in ("max_sise", f"{config}:3", "max_size"))


def test_send_prints_the_answer_and_the_row_is_there(daemon: Daemon, spec: Path) -> None:
    """A file is mailed to the daemon that runs, without being told where it is."""
    done = specpost("send", str(spec), "--from", "ana@example.org", env=daemon.env)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("250 2.0.0 spec=")
    listed = specpost("specs", "--json", env=daemon.env)
    row = json.loads(listed.stdout)
    assert (row["repo"], row["created_by"], row["sprints"]) == ("example/tides", "ana@example.org", 2)


def test_send_mails_an_eml_as_it_is_but_for_its_line_ends(
    daemon: Daemon, tmp_path: Path, database: Database
) -> None:
    """The bytes that arrive are the file's, with CRLF."""
    mail = tmp_path / "mail.eml"
    raw = a_mail()
    mail.write_bytes(raw.replace(b"\r\n", b"\n"))

    done = specpost("send", str(mail), env=daemon.env)

    assert done.returncode == 0, done.stdout
    with database.connect("owner") as conn:
        ((key,),) = conn.execute("select key from intake.parts where place = 'raw'").fetchall()
    assert (daemon.state_dir / "storage" / key).read_bytes() == raw


def test_send_says_what_was_refused_and_fails(daemon: Daemon, tmp_path: Path) -> None:
    """The sender sees the daemon's words."""
    bad = tmp_path / "spec.yaml"
    bad.write_text("meta: {}\n")

    done = specpost("send", str(bad), env=daemon.env)

    assert done.returncode == 1
    assert done.stdout.startswith("550 5.6.0 ")


def test_send_without_a_daemon_says_so(spec: Path, tmp_path: Path) -> None:
    """No traceback, and a hint."""
    done = specpost("send", str(spec), "--smtp", "127.0.0.1:1", env={"SPECPOST_STATE_DIR": str(tmp_path)})

    assert done.returncode == 1
    assert done.stderr.startswith("specpost: no mail server answers at 127.0.0.1:1")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--smtp", "localhost"], "--smtp takes HOST:PORT"),
        (["--smtp", ":25"], "--smtp takes HOST:PORT"),
        (["--smtp", "[::1]:1"], "no mail server answers at ::1:1"),
        (["--from", "a@b.c\nBcc: d@e.f"], "no address: 'a@b.c\\nBcc: d@e.f'"),
    ],
)
def test_send_says_in_a_line_what_it_cannot_do(spec: Path, args: list[str], said: str) -> None:
    """One line that names what was given, and no traceback."""
    done = specpost("send", str(spec), *args)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"specpost: {said}")
    assert len(done.stderr.splitlines()) == 1


def test_send_says_which_address_smtp_cannot_carry(daemon: Daemon, spec: Path) -> None:
    """An address beyond ASCII, say."""
    done = specpost("send", str(spec), "--from", "é@example.org", env=daemon.env)

    assert done.returncode == 1
    assert done.stderr.startswith("specpost: SMTP can't say these addresses: 'é@example.org'")
    assert len(done.stderr.splitlines()) == 1


def test_send_prints_a_refusal_wherever_it_comes(spec: Path) -> None:
    """A server that turns us away at the door has answered, and its escapes do nothing to the terminal."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as other:

        def turn_away() -> None:
            conn, _ = server.accept()
            with conn:
                conn.sendall(b"421 4.3.2 too many\x1b[31m connections\r\n")

        turning = other.submit(turn_away)
        done = specpost("send", str(spec), "--smtp", f"127.0.0.1:{server.getsockname()[1]}")
        turning.result()

    assert (done.returncode, done.stdout) == (1, "421 4.3.2 too many\\x1b[31m connections\n")


def test_files_of_one_name_are_all_sent(daemon: Daemon, tmp_path: Path) -> None:
    """Two specifications called alike are two specifications."""
    files = [tmp_path / name / "spec.yaml" for name in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        file.write_text(SPEC.replace("example/tides", f"example/{file.parent.name}"))

    done = specpost("send", *map(str, files), "--subject", "two\r\nlines", env=daemon.env)

    assert done.returncode == 0, done.stdout + done.stderr
    rows = specpost("specs", "--json", env=daemon.env).stdout.splitlines()
    assert sorted(json.loads(row)["repo"] for row in rows) == ["example/a", "example/b"]


@pytest.mark.parametrize("name", ["spé 'q\"c.yaml", "sp\nec.yaml", os.fsdecode(b"sp\xffec.yaml")])
def test_a_file_may_be_called_anything(tmp_path: Path, name: str) -> None:
    """Quotes, line ends and bytes that are no text."""
    (tmp_path / name).write_text(SPEC)

    done = specpost("check", str(tmp_path / name))

    assert (done.returncode, done.stderr) == (0, "")
    assert "example/tides@main" in done.stdout


def test_check_does_not_read_for_ever() -> None:
    """What no mail could hold is not judged."""
    done = specpost("check", "/dev/zero", env={"SPECPOST_SMTP__MAX_SIZE": "1 MiB"})

    assert done.returncode == 1
    assert done.stderr.startswith("specpost: /dev/zero has more than the 1,048,576 bytes")


def test_a_user_without_a_name_can_send(spec: Path) -> None:
    """As containers run us."""
    need(os.geteuid() == 0, "run the tests as root: only root can be anybody")
    with patched(os.environ, dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"))):
        script = "import os; os.setuid(54321); from daemon.commands import posting; print(posting._user())"
        done = subprocess.run(
            [sys.executable, "-c", f"from daemon.commands import posting; {script}"],
            capture_output=True,
            check=True,
            cwd=REPO,
        )

    assert done.stdout == b"uid54321\n"


@contextmanager
def patched(env: MutableMapping[str, str], changes: dict[str, None]) -> Iterator[None]:
    """Variables taken away for a while."""
    saved = {name: env.pop(name) for name in changes if name in env}
    yield
    env.update(saved)


def test_check_shows_the_plan_without_database_or_network(spec: Path) -> None:
    """The sprints it would plan, with their complete Definition of Done."""
    done = specpost("check", str(spec))

    assert done.returncode == 0, done.stderr
    assert "verdict  accepted" in done.stdout
    assert "example/tides@main" in done.stdout
    assert "coverage_min=0.9 e2e_pass=true lighthouse_min=85" in done.stdout


def test_check_tells_every_problem_with_its_place(tmp_path: Path) -> None:
    """Compilers' form, so that editors jump there."""
    bad = tmp_path / "spec.yaml"
    bad.write_text(
        "meta:\n  repo: not a repo\nplanning:\n  epics:\n    - sprints:\n        - dod: {coverage: 0.8}\n"
    )

    done = specpost("check", str(bad))

    assert done.returncode == 1
    assert "spec.yaml:2:9: " in done.stdout
    assert "spec.yaml:6:17: " in done.stdout
    assert "coverage_min" in done.stdout


@pytest.mark.parametrize(
    "given",
    [
        SPEC.encode(),
        a_mail(),
        a_mail().replace(b"\r\n", b"\n"),
        b"Delivered-To: specs@example.net\r\nX-Received: by x;\r\n\tMon\r\n" + a_mail(),
    ],
    ids=["spec", "mail", "lf", "delivered"],
)
def test_check_reads_standard_input(given: bytes) -> None:
    """A specification or a mail, whichever it is."""
    done = specpost("check", "-", given=given)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "example/tides@main" in done.stdout


def test_show_tells_a_specification(daemon: Daemon, spec: Path) -> None:
    """For people and for programs."""
    specpost("send", str(spec), env=daemon.env)
    spec_id = json.loads(specpost("specs", "--json", env=daemon.env).stdout)["id"]

    told = specpost("show", spec_id, env=daemon.env).stdout
    data = json.loads(specpost("show", spec_id, "--json", env=daemon.env).stdout)

    assert all(word in told for word in ("example/tides@main", "S1", "S2", "SPEC_RECEIVED", "PLANNING"))
    assert [sprint["label"] for sprint in data["sprints"]] == ["S1", "S2"]
    assert [event["phase"] for event in data["events"]] == ["SPEC_RECEIVED", "PLANNING"]
    assert specpost("show", "00000000-0000-0000-0000-000000000000", env=daemon.env).returncode == 1
    assert "file://" not in told
    urls = specpost("show", spec_id, "--urls", env=daemon.env).stdout
    document = urls.partition("spec.yaml, ")[2].splitlines()[1].strip()
    assert document.startswith("file:///")
    assert Path(urlsplit(document).path).read_text() == SPEC


def test_what_is_no_id_is_told_where_ids_are() -> None:
    """A newcomer pastes the wrong thing first."""
    done = specpost("show", "nope")

    assert done.returncode == 2
    assert "'nope' is no id; specpost specs lists them" in done.stderr


def test_db_url_is_what_psql_takes(tmp_path: Path) -> None:
    """The embedded server is started for it, and stays until the next one who leaves last."""
    env = {"SPECPOST_STATE_DIR": str(tmp_path / "state dir")}
    try:
        done = specpost("db-url", env=env)
        assert done.returncode == 0, done.stderr
        with psycopg.connect(done.stdout.strip()) as conn:
            assert conn.execute("select session_user").fetchall() == [("specpost",)]
            assert conn.execute("select count(*) from specs").fetchall() == [(0,)]
    finally:
        with running(tmp_path / "state dir"):
            pass


def test_migrate_and_its_login_are_all_a_foreign_database_needs(
    empty_database: Database, tmp_path: Path
) -> None:
    """Two commands, and the daemon may work; the URL's file is nobody else's to read."""
    owner = {"SPECPOST_OWNER_URL": empty_database.owner_url}
    out = tmp_path / "database_url"
    os.umask(0o022)

    migrated = specpost("migrate", env=owner)
    again = specpost("migrate", env=owner)
    made = specpost("migrate", "--create-login", "ci_daemon", "--out", str(out), env=owner)

    assert migrated.returncode == 0, migrated.stderr
    assert "applied " in migrated.stdout
    assert "nothing to do" in again.stdout
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    password = out.read_text().partition("password=")[2].partition("&")[0].strip() or out.read_text()
    assert password not in made.stdout + made.stderr
    listed = specpost("specs", env={"SPECPOST_DATABASE__URL": out.read_text().strip()})
    assert (listed.returncode, listed.stdout) == (0, "no specifications yet; specpost send FILE mails one\n")


def test_a_login_for_ci_is_none_of_the_daemons(empty_database: Database, tmp_path: Path) -> None:
    """With CI's role it may call and read, and the daemon's commands take it for what it is."""
    owner = {"SPECPOST_OWNER_URL": empty_database.owner_url}
    out = tmp_path / "ci_url"
    specpost("migrate", env=owner)

    made = specpost(
        "migrate", "--create-login", "ci_job", "--role", "ci_runner", "--out", str(out), env=owner
    )
    alone = specpost("migrate", "--role", "ci_runner", env=owner)

    assert (made.returncode, made.stdout) == (
        *(0, f"ci_job may connect with the rights of ci_runner; its URL is in {out}\n"),
    )
    with psycopg.connect(out.read_text().strip()) as conn:
        assert conn.execute("select from sprint_board").rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("update sprints set state = 'DONE'")
    assert alone.returncode == 2
    assert "--role is of the login that --create-login NAME makes" in alone.stderr


def test_a_login_whose_url_cannot_be_written_is_not_made(empty_database: Database, tmp_path: Path) -> None:
    """A password that nobody can read helps nobody."""
    owner = {"SPECPOST_OWNER_URL": empty_database.owner_url}
    out = tmp_path / "missing" / "url"
    specpost("migrate", env=owner)

    done = specpost("migrate", "--create-login", "unwritten", "--out", str(out), env=owner)

    assert done.returncode == 1
    assert done.stderr == f"specpost: {out} can't be written: No such file or directory\n"
    with empty_database.connect("owner") as conn:
        assert conn.execute("select from pg_roles where rolname = 'unwritten'").fetchall() == []


@pytest.mark.parametrize("key", ["state_dir", "[storage] url"])
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, database: Database, key: str) -> None:
    """With the setting that says it; and nothing hangs."""
    (tmp_path / "file").touch()
    env = {"SPECPOST_DATABASE__URL": database.url, "SPECPOST_STATE_DIR": str(tmp_path)}
    env["SPECPOST_STATE_DIR" if key == "state_dir" else "SPECPOST_STORAGE__URL"] = (
        f"{'' if key == 'state_dir' else 'file:'}{tmp_path / 'file' / 'x'}"
    )

    done = specpost("run", env=env)

    assert done.returncode == 78
    assert done.stderr.splitlines()[-1] == (
        f"specpost: {key} {tmp_path / 'file' / 'x'} can't be used: Not a directory"
    )


def test_migrate_says_where_to_put_the_owners_url(tmp_path: Path) -> None:
    """A secret never goes on the command line."""
    done = specpost("migrate")

    assert done.returncode == 2
    assert "SPECPOST_OWNER_URL" in done.stderr
