"""A pipe between two processes, through which large bytes go as they are.

multiprocessing's own copies them twice on the way in and three times on the
way out, and asks the kernel six times for what takes two. What is pickled is
the rest; a pickle.PickleBuffer in it (PEP 574) travels behind it, and arrives
as bytes.
"""

from __future__ import annotations

import pickle
import select
import socket
import struct

#: Bytes of what is pickled, and how many buffers follow it; then the bytes of each of these.
_HEAD = struct.Struct("=QI")
_SIZE = struct.Struct("=Q")


class Pipe:
    """One end. Whoever is at the other end is trusted not to send half a message."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def send(self, message: object) -> None:
        """Send ``message``; OSError when nobody is there any more."""
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(message, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append)
        views = [buffer.raw() for buffer in buffers]
        sizes = b"".join(_SIZE.pack(view.nbytes) for view in views)
        self._end.sendall(b"".join((_HEAD.pack(len(pickled), len(views)), sizes, pickled)))
        for view in views:
            self._end.sendall(view)

    def receive(self) -> object:
        """The next message, however long it takes; EOFError when there will be none."""
        length, count = _HEAD.unpack(self._exactly(_HEAD.size))
        body = self._exactly(count * _SIZE.size + length)
        sizes = _SIZE.iter_unpack(body[: count * _SIZE.size])
        buffers = [self._exactly(size) for (size,) in sizes]
        return pickle.loads(memoryview(body)[count * _SIZE.size :], buffers=buffers)  # noqa: S301 - our own

    def poll(self, seconds: float) -> bool:
        """Whether something comes, a message or the end, within so many seconds."""
        return bool(self._poll.poll(seconds * 1000))

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _exactly(self, size: int) -> bytes:
        received = self._end.recv(size, socket.MSG_WAITALL) if size else b""
        while len(received) < size:  # the end, or a signal came in between (recv(2))
            more = self._end.recv(size - len(received), socket.MSG_WAITALL)
            if not more:
                raise EOFError
            received += more
        return received
