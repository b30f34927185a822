"""What goes between the service and its readers arrives as it was, and large bytes go beside the pickle."""

from __future__ import annotations

import pickle
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from daemon.child import ASIDE
from daemon.mail import Envelope, Part
from daemon.pipe import _HEAD, Pipe
from tests.fix_house import an_envelope

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20


@pytest.fixture
def ends() -> Iterator[tuple[Pipe, Pipe]]:
    """The two ends of a pipe."""
    one, other = map(Pipe, socket.socketpair())
    yield one, other
    one.close()
    other.close()


def a_part(content: bytes) -> Part:
    """A part with this in it."""
    return Part("2", "film.mp4", "video/mp4", "attachment", None, content, "ab" * 32)


@pytest.mark.parametrize(
    "message",
    [
        "ready",
        b"",
        [an_envelope(b"x" * size) for size in (0, 10, ASIDE - 1, ASIDE, 3 * ASIDE)],
        (a_part(b"y" * ASIDE), a_part(b""), a_part(b"z" * 5 * ASIDE)),
    ],
    ids=["a word", "nothing", "mails", "parts"],
)
def test_a_message_arrives_as_it_was(ends: tuple[Pipe, Pipe], message: object) -> None:
    """Whatever its size, in one piece or several; bytes are bytes."""
    one, other = ends
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(one.send, message)  # more than the kernel keeps
        received = other.receive()
        sent.result(PATIENCE)

    assert received == message
    if isinstance(received, list):
        assert {type(envelope.raw) for envelope in received if isinstance(envelope, Envelope)} == {bytes}


def test_large_bytes_are_not_copied_into_the_pickle() -> None:
    """They travel behind it; what is smaller is in it."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(an_envelope(b"x" * ASIDE), 5, buffer_callback=buffers.append)

    assert len(pickled) < 1000
    assert [len(buffer.raw()) for buffer in buffers] == [ASIDE]


def test_several_messages_stay_apart(ends: tuple[Pipe, Pipe]) -> None:
    """Each is received once, in their order."""
    one, other = ends
    for number in range(3):
        one.send(number)

    assert [other.receive() for _ in range(3)] == [0, 1, 2]
    assert not other.poll(0)


def test_a_signal_in_the_middle_of_a_message_breaks_nothing() -> None:
    """The kernel then hands over what it has, which is not all of it."""
    ours, theirs = socket.socketpair()
    sender, pickled = Pipe(theirs), pickle.dumps("x" * 10_000, pickle.HIGHEST_PROTOCOL)
    head = _HEAD.pack(len(pickled), 0)
    before = signal.signal(signal.SIGALRM, lambda *_: theirs.sendall(pickled[5000:]))
    try:
        theirs.sendall(head + pickled[:5000])
        signal.setitimer(signal.ITIMER_REAL, 0.05)  # by when the other end waits for the rest
        assert Pipe(ours).receive() == "x" * 10_000
    finally:
        signal.signal(signal.SIGALRM, before)
        ours.close()
        sender.close()


def test_the_end_is_told(ends: tuple[Pipe, Pipe]) -> None:
    """When the other process is gone, there is something to hear: that there will be nothing."""
    one, other = ends
    one.close()

    assert other.poll(PATIENCE)
    with pytest.raises(EOFError):
        other.receive()
    with pytest.raises(OSError, match="Broken pipe"):
        other.send("anybody?")
