"""A long wire on loopback: each byte arrives so much later, and none waits for another."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds that are not worth waiting for: timers are no finer.
_GRAIN = 0.0005


class _End(asyncio.Protocol):
    """One end of a connection; what comes in here goes out at ``other`` after ``delay`` seconds.

    What is under way is not bounded: it is a wire and no queue, so it slows
    nobody who sends more before the first answer has come.
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._wire: deque[tuple[float, bytes]] = deque()
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._arrive()

    def data_received(self, data: bytes) -> None:
        self._send(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._send(b"")

    def _send(self, data: bytes) -> None:
        self._wire.append((self._loop.time() + self._delay, data))
        if len(self._wire) == 1:
            self._loop.call_later(self._delay, self._arrive)

    def _arrive(self) -> None:
        """Pass on what is due; an empty piece is the end."""
        target = self.other.transport if self.other else None
        while self._wire and target:
            due, data = self._wire[0]
            if (wait := due - self._loop.time()) > _GRAIN:
                self._loop.call_later(wait, self._arrive)
                return
            self._wire.popleft()
            if not target.is_closing():
                target.write(data) if data else target.close()


class _Client(_End):
    """The end at which somebody connects: for each a connection to ``port`` is made."""

    def __init__(self, port: int, delay: float) -> None:
        super().__init__(delay)
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        server = _End(self._delay)
        server.other = self
        _, server = await self._loop.create_connection(lambda: server, "127.0.0.1", self._port)
        self.other = server
        self._arrive()


@contextmanager
def delayed(port: int, delay: float) -> Iterator[int]:
    """A port of loopback that leads to ``port``, ``delay`` seconds away in each direction."""
    loop = asyncio.new_event_loop()
    serving = loop.create_server(lambda: _Client(port, delay), "127.0.0.1", 0)
    server = loop.run_until_complete(serving)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()
