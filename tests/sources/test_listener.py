"""Places to listen at, those in the file system above all."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon.sources.listener import Listener, UnixPlace, place
from tests.fix_smtp import ANYWHERE, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fix_smtp import Running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where nothing is yet."""
    return tmp_path / "lmtp"


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever the process was started with."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    ("listener", "shown"),
    [
        (Listener("smtp", ("127.0.0.1", 25)), "127.0.0.1:25"),
        (Listener("smtp", ("::1", 25)), "[::1]:25"),
        (Listener("smtp", Path("/run/smtp")), "/run/smtp"),
        (Listener("lmtp", ("127.0.0.1", 24)), "lmtp://127.0.0.1:24"),
        (Listener("lmtp", ("::1", 24)), "lmtp://[::1]:24"),
        (Listener("lmtp", Path("/run/specpost/lmtp")), "lmtp:///run/specpost/lmtp"),
    ],
)
def test_a_listener_is_shown_as_it_is_configured(listener: Listener, shown: str) -> None:
    """SMTP over TCP, the usual, without its scheme."""
    assert str(listener) == shown


def test_a_bound_socket_is_shown_by_its_address(path: Path) -> None:
    """Whoever bound it; IPv6's scope is nobody's business."""
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(str(path))
        assert str(Listener("lmtp", unix)) == f"lmtp://{path}"
        assert place(tcp) == ("::1", tcp.getsockname()[1])
        assert str(Listener("smtp", tcp)) == f"[::1]:{tcp.getsockname()[1]}"


def test_owner_and_group_may_talk_to_the_socket(path: Path, umask: None) -> None:
    """Nobody else may, and no umask changes that."""
    with UnixPlace(path).socket:
        assert stat.filemode(path.lstat().st_mode) == "srw-rw----"


def test_what_a_dead_process_left_is_replaced(path: Path) -> None:
    """A socket that nobody listens on is in nobody's way."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with UnixPlace(path).socket, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


@pytest.mark.parametrize("waiting", [0, 2])
def test_a_living_socket_is_left_alone(path: Path, waiting: int) -> None:
    """Nor is it taken for dead when its queue is full."""
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen(1)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(waiting)]
        for client in clients:
            client.connect(str(path))
        inode = path.lstat().st_ino

        with pytest.raises(OSError, match=f"{path}: address already in use") as raised:
            UnixPlace(path)

        assert raised.value.errno == errno.EADDRINUSE
        assert path.lstat().st_ino == inode
        for client in clients:
            client.close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_only_a_socket_is_ever_removed(path: Path, kind: str) -> None:
    """A mistake in the configuration costs nobody a file."""
    match kind:
        case "file":
            path.write_text("mine")
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(path.with_name("nowhere"))

    with pytest.raises(OSError, match="no socket"):
        UnixPlace(path)

    assert os.path.lexists(path)


def test_an_impossible_path_is_named(tmp_path: Path) -> None:
    """Whoever configured it learns which, and why."""
    for path in (tmp_path / "none" / "lmtp", tmp_path / ("x" * 108)):
        with pytest.raises(OSError, match=str(path)):
            UnixPlace(path)


def test_the_path_is_gone_when_the_source_stops(smtp_source: Callable[..., Running], path: Path) -> None:
    """Nothing is left that a mail server would try."""
    source = smtp_source(listener=Listener("lmtp", path))
    assert source.address == path
    source.do(source.server.drain(PATIENCE))
    assert not path.exists()


def test_a_successors_socket_stays(smtp_source: Callable[..., Running], path: Path) -> None:
    """Who put another socket at the path keeps it."""
    source = smtp_source(listener=Listener("lmtp", path))
    path.unlink()
    with UnixPlace(path).socket:
        source.do(source.server.drain(PATIENCE))
        assert path.is_socket()


def test_nothing_listens_when_one_place_can_not_be_had(
    smtp_source: Callable[..., Running], path: Path
) -> None:
    """The start is whole or not at all."""
    source = smtp_source()
    wanted = [Listener("lmtp", path), Listener("smtp", source.address)]

    with pytest.raises(OSError, match="address already in use"):
        source.do(source.server.start(wanted))

    assert not path.exists()
    with pytest.raises(ConnectionRefusedError):
        source.connect()


def test_what_was_bound_is_told_in_order(smtp_source: Callable[..., Running], path: Path) -> None:
    """Each listener with its protocol, and with a port where any would do."""
    source = smtp_source()

    smtp, unix, lmtp = source.do(
        source.server.start([ANYWHERE, Listener("lmtp", path), Listener("lmtp", ("127.0.0.1", 0))])
    )

    assert [smtp.protocol, unix.protocol, lmtp.protocol] == ["smtp", "lmtp", "lmtp"]
    assert unix.where == path
    assert min(smtp.where[1], lmtp.where[1]) > 0
