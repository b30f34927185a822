"""What systemd and the daemon tell each other: readiness, the watchdog, and sockets opened before us.

The protocols are sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3);
they are a datagram and a few variables, so no library is needed. Without
systemd all of this does nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import NamedTuple

from daemon.settings.listen import loopback
from daemon.text import printable

_FIRST = 3  # the descriptor of the first inherited socket: SD_LISTEN_FDS_START


def notify(**fields: str) -> None:
    """Tell systemd ``fields`` (``READY="1"``); values are made one line each.

    What is lost on the way (a full or vanished socket) is for systemd's own
    timeouts to notice, and never a reason to stop taking mail.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    text = "\n".join(f"{name}={printable(value, 1000)}" for name, value in fields.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.settimeout(0)
        sock.sendto(text.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def ready(text: str = "ready") -> None:
    """The service is up: units that wait for it may start."""
    notify(READY="1", STATUS=text)


def still_starting(text: str, seconds: float) -> None:
    """The start takes longer and needs ``seconds`` more before TimeoutStartSec= may strike."""
    notify(STATUS=text, EXTEND_TIMEOUT_USEC=str(round(seconds * 1_000_000)))


def stopping(text: str = "stopping") -> None:
    """An orderly end has begun: TimeoutStopSec= counts."""
    notify(STOPPING="1", STATUS=text)


def status(text: str) -> None:
    """One line for ``systemctl status``."""
    notify(STATUS=text)


def alive() -> None:
    """Feed the watchdog."""
    notify(WATCHDOG="1")


def watchdog_interval() -> float | None:
    """Seconds between two :func:`alive`, half of what systemd allows; None when nobody watches."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not limit.isdecimal() or int(limit) == 0 or watched != str(os.getpid()):
        return None
    return int(limit) / 2_000_000


class Inherited(NamedTuple):
    """A socket that systemd opened; ``name`` is its ``FileDescriptorName=``, empty when there is none."""

    name: str
    socket: socket.socket


def inherited_sockets() -> list[Inherited]:
    """The listening sockets that systemd opened for this very process, in the order of the unit.

    Their variables are unset, so that no child takes them for its own, and no
    child inherits the sockets. Raises ValueError for what is no listening
    stream socket: the socket unit is wrong.
    """
    names = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    pid, count, named = [os.environ.pop(name, "") for name in names]
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    sockets = [_listening(number) for number in range(_FIRST, _FIRST + int(count))]
    given = named.split(":") + [""] * len(sockets)
    return [Inherited(name, each) for name, each in zip(given, sockets, strict=False)]


def is_loopback(sock: socket.socket) -> bool:
    """Whether only this machine can reach ``sock``; a UNIX socket is a file of this machine."""
    if sock.family == socket.AF_UNIX:
        return True
    return sock.family in (socket.AF_INET, socket.AF_INET6) and loopback(sock.getsockname()[0])


def _listening(number: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=number)
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ValueError(f"inherited descriptor {number} is no socket: {error.strerror}") from None
    if not listens:
        raise ValueError(
            f"inherited descriptor {number} does not listen (ListenStream= is needed, Accept=no)"
        )
    sock.set_inheritable(False)
    return sock
