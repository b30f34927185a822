"""Mails handed in over real SMTP, several sessions side by side, and what became of each."""

from __future__ import annotations

import smtplib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.fix_house import US

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.fix_database import Database

#: Sessions at a time, fewer than mails may wait for the slow lane.
SESSIONS = 12
#: Seconds a client waits for an answer: readers may be broken three times, on a machine that has other work.
PATIENCE = 60


@dataclass(frozen=True)
class Answer:
    """What the end of a message was answered, and after how many seconds."""

    code: int
    text: str
    seconds: float


class Session:
    """One session of a real client; it fails when the server drops it.

    Each comes from an address of its own, for no peer may have many mails
    held within a day.
    """

    def __init__(self, address: tuple[str, int], number: int = 1) -> None:
        peer = f"127.0.{1 + number // 250}.{1 + number % 250}"
        self._client = smtplib.SMTP(*address, timeout=PATIENCE, source_address=(peer, 0))
        self._client.ehlo()

    def hand_in(self, raw: bytes, sender: str = "ana@example.org") -> Answer:
        """Mail ``raw``, whose lines end in CRLF."""
        self._client.mail(sender, ["BODY=8BITMIME"])
        self._client.rcpt(US)
        started = time.monotonic()
        code, text = self._client.data(raw)
        return Answer(code, text.decode("ascii"), time.monotonic() - started)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


def hand_in_all(address: tuple[str, int], raws: Sequence[bytes], first: int = 0) -> list[Answer]:
    """The answers to many mails; the envelope of each names its number, from ``first`` on (``sent_by``)."""

    def some(session: int) -> list[tuple[int, Answer]]:
        with Session(address, session) as client:
            mine = range(session, len(raws), SESSIONS)
            return [(number, client.hand_in(raws[number], sent_by(first + number))) for number in mine]

    with ThreadPoolExecutor(SESSIONS) as pool:
        found = dict(pair for pairs in pool.map(some, range(SESSIONS)) for pair in pairs)
    return [found[number] for number in range(len(raws))]


def sent_by(number: int) -> str:
    """The envelope's sender of the mail with this number."""
    return f"{number}@posting.example"


def verdicts(database: Database, senders: Iterable[str]) -> list[str | None]:
    """What is recorded of the mails of these senders; None where nothing is."""
    with database.connect() as conn:
        rows = conn.execute("select mail_from, verdict from intake.arrivals order by id").fetchall()
    recorded: dict[str, str] = dict(rows)
    return [recorded.get(sender) for sender in senders]
