"""The embedded server: who starts it, who stops it, and what neither kills nor odd paths can break."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from db.embedded import EmbeddedError, Server, _socket_dir, binaries, running
from tests.fix_postgres import DEBIAN_15
from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parents[2]

#: A command that needs the database: says where it is, and goes on until its input ends.
HOLDER = """
import sys
from pathlib import Path
from db.embedded import running
with running(Path(sys.argv[1]), keep="keep" in sys.argv) as server:
    print(server.url("postgres"), flush=True)
    sys.stdin.read()
"""

AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

#: Runs long and never looks whether its server is alive.
BUSY = "select count(*) from generate_series(1, 1000000000) n where sqrt(n) < 0"


@dataclass
class Holder:
    """A process that holds the server of ``state_dir``."""

    state_dir: Path
    words: list[str] = field(default_factory=list)
    prefix: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        command = [*self.prefix, sys.executable, "-c", HOLDER, str(self.state_dir), *self.words]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def url(self) -> str:
        """Wait until it holds the server; where the server is."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> int:
        """Let it end, and wait until it has; its exit status."""
        self.process.communicate()
        return self.process.returncode

    def kill(self) -> None:
        """Kill it as the kernel does when memory runs out."""
        self.process.kill()
        self.leave()


def servers_under(folder: Path) -> list[int]:
    """The processes of PostgreSQL that work somewhere under ``folder``."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _serves_under(entry, folder)]


def _serves_under(process: Path, folder: Path) -> bool:
    try:
        name, place = (process / "comm").read_bytes(), (process / "cwd").readlink()
    except OSError:
        return False
    return name == b"postgres\n" and place.is_relative_to(folder)


def postmaster(server: Server) -> int:
    """The number of the server's first process."""
    return int((server.data_dir / "postmaster.pid").read_text().split()[0])


def ask(url: str, query: str) -> object:
    """The first value of the answer."""
    with psycopg.connect(url) as conn:
        row = conn.execute(query.encode()).fetchone()
    return row and row[0]


def do(url: str, statement: str) -> None:
    """Run a statement that answers nothing, and commit it."""
    with psycopg.connect(url) as conn:
        conn.execute(statement.encode())


def kill_and_wait(pid: int) -> None:
    """Kill a process that is not our child, and wait until it is gone."""
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGKILL)
    select.select([process], [], [], 10)
    os.close(process)


def end_servers(folder: Path) -> None:
    """Whatever became of a test, no server stays behind."""
    for pid in servers_under(folder):
        kill_and_wait(pid)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="embedded-", dir="/tmp") as name:
        yield Path(name)
        end_servers(Path(name))


@pytest.fixture
def new_dir(folder: Path) -> Path:
    """Where no server has been yet."""
    return folder / "state"


@pytest.fixture(scope="module")
def shared_dir() -> Iterator[Path]:
    """One first start for all the tests that need none of their own."""
    with tempfile.TemporaryDirectory(prefix="embedded-", dir="/tmp") as name:
        with running(Path(name)):
            pass
        yield Path(name)


@pytest.fixture
def state_dir(shared_dir: Path) -> Iterator[Path]:
    """Where a server has been, and is down."""
    yield shared_dir
    end_servers(shared_dir)


@pytest.fixture
def hold() -> Iterator[Callable[..., Holder]]:
    """Start holders; those that are left at the end are killed."""
    holders: list[Holder] = []

    def start(state_dir: Path, *words: str, prefix: list[str] | None = None) -> Holder:
        holders.append(Holder(state_dir, list(words), prefix or []))
        return holders[-1]

    yield start
    for holder in holders:
        holder.kill()


@pytest.fixture
def nobodys_dir(folder: Path) -> Path:
    """A folder of the user nobody, where that user can get at it."""
    need(os.geteuid() == 0, "run the tests as root: only root can also play a plain user")
    need(shutil.which("setpriv"), "apt-get install util-linux")
    trial = [*AS_NOBODY, sys.executable, "-c", "import db.embedded"]
    done = subprocess.run(trial, cwd=REPOSITORY, capture_output=True, check=False)
    need(done.returncode == 0, "move Python and this checkout to where every user can read them")
    os.chown(folder, 65534, 65534)
    return folder


@pytest.fixture(params=["bundled", "debian"])
def bin_dir(request: pytest.FixtureRequest) -> Path | None:
    """The programs of each PostgreSQL that we promise to work with."""
    if request.param == "bundled":
        return None
    need((DEBIAN_15 / "postgres").exists(), "apt-get install postgresql-15")
    return DEBIAN_15


def test_the_last_to_leave_stops_the_server(new_dir: Path) -> None:
    """Nothing of it is left but its data."""
    with running(new_dir) as server:
        with running(new_dir) as again:
            assert again == server
        assert ask(server.url("postgres"), "select 1") == 1
        assert servers_under(new_dir)

    assert servers_under(new_dir) == []
    assert not server.socket.exists()
    assert "database system is shut down" in server.log.read_text()


def test_it_is_a_database_for_mail(new_dir: Path, bin_dir: Path | None) -> None:
    """It is durable, notices rotten pages, knows all of Unicode, and can't be reached from elsewhere."""
    promised = {
        "fsync": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "jit": "off",
        "shared_buffers": "64MB",
        "max_connections": "60",
    }
    with running(new_dir, bin_dir=bin_dir) as server:
        found = {name: ask(server.url("postgres"), f"show {name}") for name in promised}
        assert found == promised
        assert ask(server.url("postgres"), "select lower('ÉTÉ') || ('Z' < 'a')::text") == "ététrue"
        assert {path.stat().st_mode & 0o777 for path in (server.data_dir, server.socket_dir)} == {0o700}


def test_each_major_version_has_its_own_data(new_dir: Path) -> None:
    """The folder of another version is left alone, and both can be up at once."""
    need((DEBIAN_15 / "postgres").exists(), "apt-get install postgresql-15")
    with running(new_dir) as new, running(new_dir, bin_dir=DEBIAN_15) as old:
        versions = [str(ask(server.url("postgres"), "show server_version")) for server in (old, new)]

    assert [version.split(".")[0] for version in versions] == ["15", str(new.major)]


@pytest.mark.parametrize(
    ("name", "near"), [("50%41 été 日本 q'u\"o`t$HOME\\e", True), ("long, \udcff" * 12, False)]
)
def test_any_path_will_do(folder: Path, name: str, *, near: bool) -> None:
    """The URL leads psycopg and psql to the server, wherever its folder is."""
    with running(folder / name, options={"fsync": "off"}) as server:
        psql = [str(server.bin_dir / "psql"), server.url("postgres"), "-XAtc", "select 1"]
        assert ask(server.url("postgres"), "select 1") == 1
        assert subprocess.run(psql, capture_output=True, check=True).stdout == b"1\n"
        assert server.socket_dir.is_relative_to(folder) == near

    assert servers_under(folder) == []
    assert not server.socket.exists()
    assert near == server.socket_dir.exists()


@pytest.mark.parametrize("name", ["a,b", "\udcff", "two\nlines", "l" * 93, "é" * 47])
def test_a_socket_is_where_every_client_can_name_it(name: str) -> None:
    """A socket's path has at most 107 bytes, a URL is UTF-8, and a comma parts hosts."""
    assert _socket_dir(Path("/", name)) != Path("/", name)
    assert _socket_dir(Path("/", name)) != _socket_dir(Path("/", name, "other"))


@pytest.mark.parametrize("name", ["a b", "é" * 46, "l" * 92])
def test_a_socket_is_beside_its_data_where_it_can_be(name: str) -> None:
    """The folder of the state is the one that people know."""
    assert _socket_dir(Path("/", name)) == Path("/", name)


def test_users_and_databases_are_quoted_in_the_url(postgres: Server) -> None:
    """A login role may have any name."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute('create role "a b&c=é" superuser login')
        conn.execute('create database "d/e?f"')

    assert (
        ask(postgres.url("a b&c=é", "d/e?f"), "select current_user || current_database()") == "a b&c=éd/e?f"
    )


def test_the_environment_does_not_mislead(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for psql is no setting of our server, and what is meant for us it never sees."""
    for name in ("PGPORT", "NOTIFY_SOCKET", "A_SECRET"):
        monkeypatch.setenv(name, "1")
    with running(state_dir) as server:
        environment = Path("/proc", str(postmaster(server)), "environ").read_bytes()

    names = {line.partition(b"=")[0] for line in environment.split(b"\0")}
    assert b"PATH" in names
    assert not names & {b"PGPORT", b"NOTIFY_SOCKET", b"A_SECRET"}


def test_commands_at_the_same_instant_share_one_server(new_dir: Path, hold: Callable[..., Holder]) -> None:
    """Each of them finds it up, and the last one to leave stops it."""
    holders = [hold(new_dir) for _ in range(4)]
    urls = {holder.url() for holder in holders}
    started = {ask(url, "select pg_postmaster_start_time()") for url in urls}
    left = [holder.leave() for holder in holders]

    assert len(started) == 1
    assert left == [0, 0, 0, 0]
    assert servers_under(new_dir) == []


def test_the_server_outlives_a_killed_holder(state_dir: Path, hold: Callable[..., Holder]) -> None:
    """The next command finds it up, and stops it, for the dead hold nothing."""
    killed = hold(state_dir)
    started = ask(killed.url(), "select pg_postmaster_start_time()")
    killed.kill()

    assert servers_under(state_dir)
    with running(state_dir) as server:
        assert ask(server.url("postgres"), "select pg_postmaster_start_time()") == started
    assert servers_under(state_dir) == []


def test_a_holder_killed_in_its_first_start_harms_nobody(new_dir: Path, hold: Callable[..., Holder]) -> None:
    """Data half made is swept away, and the data directory is whole or absent."""
    killed = hold(new_dir)
    while not list(new_dir.glob("pg-*.new-*/PG_VERSION")):
        assert killed.process.poll() is None
    killed.kill()

    assert not list(new_dir.glob("pg-[0-9][0-9]/PG_VERSION"))
    with running(new_dir) as server:
        assert ask(server.url("postgres"), "select 1") == 1
    assert not list(new_dir.glob("pg-*.new-*/PG_VERSION"))


def test_keep_leaves_it_up_for_the_next(state_dir: Path, hold: Callable[..., Holder]) -> None:
    """A URL that a command printed is good after the command has ended."""
    printing = hold(state_dir, "keep")
    url = printing.url()
    assert printing.leave() == 0

    assert ask(url, "select 1") == 1
    with running(state_dir):
        pass
    assert servers_under(state_dir) == []


def test_what_was_committed_survives_a_killed_server(state_dir: Path) -> None:
    """Entering again revives it, even while a query of the dead server is still running."""
    with running(state_dir) as server:
        do(server.url("postgres"), "create table t as select 42 as n")
        busy = psycopg.connect(server.url("postgres"))
        busy.pgconn.send_query(BUSY.encode())
        kill_and_wait(postmaster(server))
        assert servers_under(state_dir)

        with running(state_dir):
            assert ask(server.url("postgres"), "select n from t") == 42
        assert ask(server.url("postgres"), "select n from t") == 42
        busy.close()

    assert servers_under(state_dir) == []


def test_a_stale_pid_file_does_not_mislead(state_dir: Path) -> None:
    """After a reboot its number may be any process's: here it is our own."""
    with running(state_dir) as server:
        was = (server.data_dir / "postmaster.pid").read_text()
        lock = Path(f"{server.socket}.lock").read_text()
        old = str(postmaster(server))
    (server.data_dir / "postmaster.pid").write_text(was.replace(old, str(os.getpid()), 1))
    Path(f"{server.socket}.lock").write_text(lock.replace(old, str(os.getpid()), 1))
    server.socket.touch()

    with running(state_dir):
        assert ask(server.url("postgres"), "select 1") == 1


def test_a_copy_is_a_server_of_its_own(folder: Path, state_dir: Path) -> None:
    """Even one taken with the pid file of the server that is still up."""
    copied = folder / "copy"
    with running(state_dir) as server:
        do(server.url("postgres"), "create table copied as select 'original' as name")
        subprocess.run(["cp", "-a", state_dir, copied], check=True)
        with running(copied) as copy:
            do(copy.url("postgres"), "update copied set name = 'copy'")
            assert ask(copy.url("postgres"), "select name from copied") == "copy"
        assert ask(server.url("postgres"), "select name from copied") == "original"


@pytest.mark.parametrize("name", ["short", "long" * 30])
def test_a_server_that_was_moved_is_found(folder: Path, new_dir: Path, name: str) -> None:
    """Its folder got another name while it was up."""
    with running(new_dir, keep=True) as server:
        do(server.url("postgres"), "create table t as select 42 as n")
    new_dir.rename(folder / name)

    with running(folder / name) as server:
        assert ask(server.url("postgres"), "select n from t") == 42
    assert servers_under(folder) == []


def test_a_server_without_its_socket_is_replaced(state_dir: Path) -> None:
    """Somebody cleaned up: it is up, and nobody can reach it."""
    with running(state_dir) as server:
        server.socket.unlink()
        with running(state_dir):
            assert ask(server.url("postgres"), "select 1") == 1
    assert servers_under(state_dir) == []


def test_a_server_that_cannot_start_says_why(state_dir: Path) -> None:
    """Its own last words are in the error, and nothing of it stays."""
    with (
        pytest.raises(EmbeddedError, match=r"(?s)does not start.*work_mem"),
        running(state_dir, options={"work_mem": "plenty"}),
    ):
        pass

    assert servers_under(state_dir) == []
    with running(state_dir) as server:
        assert ask(server.url("postgres"), "select 1") == 1


@pytest.mark.parametrize("squat", ["open", "link"])
def test_a_socket_folder_of_somebody_else_is_refused(folder: Path, squat: str) -> None:
    """Where the path is long the socket is in /tmp, where anybody may have been first."""
    long = folder / ("long" * 30)
    place = _socket_dir(long / f"pg-{binaries()[1]}.run")
    squats = {"open": lambda: place.mkdir(0o755), "link": lambda: place.symlink_to(folder)}
    squats[squat]()
    try:
        with pytest.raises(EmbeddedError, match=place.name), running(long):
            pass
    finally:
        place.rmdir() if squat == "open" else place.unlink()


def test_ctrl_c_is_not_for_the_server(state_dir: Path) -> None:
    """It has a session of its own, so the daemon can drain before it stops."""
    with running(state_dir) as server:
        assert os.getsid(postmaster(server)) != os.getsid(0)


def test_the_server_inherits_nothing(state_dir: Path) -> None:
    """A listening socket given by systemd, or our own lock, would be held open by it."""
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)  # noqa: FBT003 - takes no keywords
    with running(state_dir) as server:
        os.close(theirs)
        assert os.read(ours, 1) == b""
        assert servers_under(server.data_dir)
    os.close(ours)


def test_missing_programs_are_named() -> None:
    """The error holds the line that brings them."""
    with pytest.raises(EmbeddedError, match="apt-get install postgresql-99"):
        binaries(99)


def test_a_folder_that_cannot_be_is_explained(tmp_path: Path) -> None:
    """What the system says reaches the user as our own error."""
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedError, match="file"), running(tmp_path / "file" / "state"):
        pass


def test_a_plain_user_has_a_server_too(nobodys_dir: Path, hold: Callable[..., Holder]) -> None:
    """The same as for root, who can look in on it and leaves no file of its own."""
    holder = hold(nobodys_dir / "state", prefix=AS_NOBODY)
    url = holder.url()

    with running(nobodys_dir / "state"):
        assert ask(url, "select 1") == 1
    assert servers_under(nobodys_dir)
    assert holder.leave() == 0
    assert servers_under(nobodys_dir) == []
    assert {path.lstat().st_uid for path in nobodys_dir.rglob("*")} == {65534}


def test_a_server_in_another_container_is_shared(state_dir: Path, hold: Callable[..., Holder]) -> None:
    """Its process has another number here, or none; that it answers is enough."""
    need(os.geteuid() == 0, "run the tests as root: only root may make a namespace of processes")
    elsewhere = hold(state_dir, prefix=["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"])
    started = ask(elsewhere.url(), "select pg_postmaster_start_time()")

    with running(state_dir) as server:
        assert ask(server.url("postgres"), "select pg_postmaster_start_time()") == started
    assert elsewhere.leave() == 0
    assert servers_under(state_dir) == []


def test_root_starts_nothing_in_the_folder_of_another(nobodys_dir: Path) -> None:
    """Its files would lock the owner out."""
    with pytest.raises(EmbeddedError, match="belongs to user 65534"), running(nobodys_dir):
        pass

    assert list(nobodys_dir.iterdir()) == []


def test_root_without_unshare_is_told_what_to_do(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses to run as root; where that can't be got round, there are two ways out."""
    need(os.geteuid() == 0, "run the tests as root: nobody else has this trouble")
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(EmbeddedError, match=r"plain user.*\[database\] url"), running(state_dir):
        pass
