"""The way from the service to its PostgreSQL, which can be cut at a COMMIT: before it is heard, or after."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Literal

from tests.proxy import CHUNK, PATIENCE, Proxy

if TYPE_CHECKING:
    from pathlib import Path

    When = Literal["before", "after"]

#: How a client says it, and how the server says that it is done.
COMMIT = b"COMMIT\0"


@dataclass
class Cutter(Proxy):
    """Passes all to the socket of a server, and back, until a COMMIT comes by that is to be cut."""

    to: Path
    delay: float = 0.0
    _when: When | None = None
    _is_cut: Event | None = None

    def cut(self, when: When) -> None:
        """Cut the next connection that says COMMIT; return when that is done.

        With ``before`` the server never hears of it, and with ``after`` it
        has committed, and nobody is told.
        """
        self._is_cut = Event()
        self._when = when
        assert self._is_cut.wait(PATIENCE)

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: list[asyncio.StreamWriter]
    ) -> None:
        there, back = await asyncio.open_unix_connection(self.to)
        ends.append(back)
        muted = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._there(reader, back, muted))
            group.create_task(self._back(there, writer, muted))

    async def _there(
        self, service: asyncio.StreamReader, server: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        while data := await service.read(CHUNK):
            when, self._when = (self._when, None) if COMMIT in data else (None, self._when)
            if when == "before":
                self._break()
            elif when == "after":
                muted.set()
            server.write(data)
            await server.drain()
        server.write_eof()

    async def _back(
        self, server: asyncio.StreamReader, service: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        while data := await server.read(CHUNK):
            if not muted.is_set():
                service.write(data)
                await service.drain()
            elif COMMIT in data:
                self._break()
        service.write_eof()

    def _break(self) -> None:
        assert self._is_cut
        self._is_cut.set()
        raise ConnectionResetError
