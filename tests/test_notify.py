"""What systemd and the daemon tell each other, over real sockets and descriptors."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon import notify

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent

#: A child as systemd starts one: the descriptors lie from 3 on, and LISTEN_PID is its own.
CHILD = """
import json, os, sys
from daemon import notify
pid = os.getpid() + int(sys.argv[1])
os.environ.update(LISTEN_PID=str(pid), LISTEN_FDS=sys.argv[2], LISTEN_FDNAMES="smtp")
try:
    sockets = notify.inherited_sockets()
    told = [
        [name, *sock.getsockname()[:2], notify.is_loopback(sock), sock.get_inheritable()]
        for name, sock in sockets
    ]
except ValueError as error:
    told = str(error)
print(json.dumps([told, [name for name in os.environ if name.startswith("LISTEN_")]]))
"""


@pytest.fixture(params=["file", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """The socket on which systemd hears, in a folder or in the abstract namespace."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@specpost-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0", 1))
        sock.settimeout(0)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield sock


def test_systemd_hears_each_message_as_one_datagram(systemd: socket.socket) -> None:
    """Ready, status, watchdog and stopping are said in sd_notify's words."""
    notify.ready("taking mail on 127.0.0.1:25")
    notify.status("12 mails")
    notify.alive()
    notify.stopping()

    assert [systemd.recv(1000).decode() for _ in range(4)] == [
        "READY=1\nSTATUS=taking mail on 127.0.0.1:25",
        "STATUS=12 mails",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_a_status_cannot_say_anything_else(systemd: socket.socket) -> None:
    """A line end in a status would begin a message of its own."""
    notify.status("x\nMAINPID=1")

    assert systemd.recv(1000) == rb"STATUS=x\nMAINPID=1"


@pytest.mark.parametrize("address", [None, "", "vsock:2:1", "/no/such/socket"])
def test_without_systemd_nothing_happens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same daemon runs in a terminal, and outlives a systemd that is gone."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)

    notify.ready()


def test_a_systemd_that_does_not_listen_holds_nobody_up(systemd: socket.socket) -> None:
    """When the socket is full, messages are dropped and the daemon goes on."""
    for _ in range(5000):
        notify.alive()

    assert systemd.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("usec", "beside_us", "interval"),
    [
        ("30000000", None, 15.0),
        ("30000000", 0, 15.0),
        ("30000000", 1, None),
        (None, None, None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(
    usec: str | None, beside_us: int | None, interval: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the limit leaves room for one that comes late; another process's watchdog is not ours."""
    pid = None if beside_us is None else os.getpid() + beside_us
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, str(value))

    assert notify.watchdog_interval() == interval


def inherit(*descriptors: int, other: int = 0) -> tuple[object, list[str]]:
    """What a child makes of ``descriptors`` handed to it from 3 on, by a LISTEN_PID that is ``other`` off."""

    def place() -> None:
        for number, high in enumerate([os.dup2(each, 100 + at) for at, each in enumerate(descriptors)], 3):
            os.dup2(high, number)

    command = [sys.executable, "-c", CHILD, str(other), str(len(descriptors))]
    keep = tuple(range(3, 3 + len(descriptors)))
    run = subprocess.run(
        command, cwd=ROOT, pass_fds=keep, preexec_fn=place, capture_output=True, text=True, check=True
    )
    told, variables = json.loads(run.stdout)
    return told, variables


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    """Two listening sockets, one on loopback and one on every address."""
    with socket.create_server(("127.0.0.1", 0)) as near, socket.create_server(("0.0.0.0", 0)) as far:  # noqa: S104  # to be refused
        yield [near, far]


def test_sockets_opened_by_systemd_are_taken_over(listeners: list[socket.socket]) -> None:
    """In their order and by their names, not handed on, told apart by their reach, and no variable left."""
    told, variables = inherit(*[sock.fileno() for sock in listeners])

    assert told == [
        ["smtp", "127.0.0.1", listeners[0].getsockname()[1], True, False],
        ["", "0.0.0.0", listeners[1].getsockname()[1], False, False],  # noqa: S104  # as above
    ]
    assert variables == []


def test_sockets_of_another_process_are_left_alone(listeners: list[socket.socket]) -> None:
    """A variable that was inherited with a shell says nothing about our descriptors."""
    assert inherit(listeners[0].fileno(), other=1) == ([], [])


def test_what_does_not_listen_is_refused() -> None:
    """A wrong socket unit is found at start, not when mail fails to come."""
    reading, writing = os.pipe()
    with socket.socket() as idle:
        told = [inherit(reading)[0], inherit(idle.fileno())[0]]
    os.close(reading)
    os.close(writing)

    assert told == [
        "inherited descriptor 3 is no socket: Socket operation on non-socket",
        "inherited descriptor 3 does not listen (ListenStream= is needed, Accept=no)",
    ]


def test_a_unix_socket_is_of_this_machine(tmp_path: Path) -> None:
    """Loopback is asked of addresses; a socket file has none beyond this machine."""
    with (
        socket.socket(socket.AF_UNIX) as sock,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        sock.bind(str(tmp_path / "sock"))

        assert notify.is_loopback(sock)
        assert notify.is_loopback(six)
