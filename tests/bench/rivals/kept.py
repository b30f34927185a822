"""What a mail server kept of a mail, beside what it was sent."""

from __future__ import annotations

import re

from tests.bench.processes import DrainError

#: Every so many mails, the bytes are compared.
COMPARE_EVERY = 20

_MESSAGE_ID = re.compile(rb"(?im)^Message-ID:\s*(<[^>]+>)")


def message_id(mail: bytes) -> str:
    """What a mail is found again by; it is in the header of each."""
    found = _MESSAGE_ID.search(mail)
    if not found:
        raise DrainError(f"a mail without a Message-ID: {mail[:200]!r}")
    return found[1].decode()


def sample(mails: int) -> range:
    """The numbers of the mails that are compared."""
    return range(0, mails, COMPARE_EVERY)


def is_kept(stored: bytes, sent: bytes) -> bool:
    """Whether ``stored`` is what was sent, below the Received that a server adds; line ends may be either."""
    there, wanted = stored.replace(b"\r\n", b"\n"), sent.replace(b"\r\n", b"\n")
    head = there.removesuffix(wanted)
    return there.endswith(wanted) and (not head or _is_one_received(head))


def _is_one_received(head: bytes) -> bool:
    first, *more = head.splitlines()
    return first.startswith(b"Received:") and all(line[:1].isspace() for line in more)
