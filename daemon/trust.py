"""Who may get a specification in, and which mail is nobody's request at all.

Pure functions over what was read. Nobody is configured as a sender yet, so
only listeners on loopback take mail (settings and service hold that), and from
anyone: this is for trying the daemon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.mail import Envelope, Mail

#: Hops after which a mail is taken to go in circles (RFC 5321, 6.3, asks for a large number).
RECEIVED_MAX = 30
#: What our own answers carry in ``X-Loop``, so that we never answer ourselves.
LOOP_MARK = "specpost"
#: Headers of mail that no person waits on an answer to (RFC 3834, RFC 2369, and Microsoft's own).
_UNANSWERED = ("list-id", "list-unsubscribe", "list-post", "precedence", "x-auto-response-suppress")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a mail is taken further.

    ``ignored`` says why it is nobody's request, and is None for the others;
    ``evidence`` is what the judgement rests on, for the operator.
    """

    ignored: str | None = None
    rule: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    reply_allowed: bool = False


def judge(envelope: Envelope, mail: Mail) -> Judgement:
    """Judge one mail that could be read."""
    if why := _ignored(envelope, mail):
        return Judgement(ignored=why)
    evidence = {"open": "no senders are configured", "peer": envelope.peer, "from": mail.sender}
    return Judgement(evidence=evidence, reply_allowed=mail.sender is not None and not _is_unanswered(mail))


def _ignored(envelope: Envelope, mail: Mail) -> str | None:
    """Why this mail is an echo and no request; None when it may be one."""
    if envelope.mail_from is None:
        return "null sender"
    if any(_keyword(value) == "auto-replied" for value in mail.values("auto-submitted")):
        return "an automatic reply"
    if any(_keyword(value) == "multipart/report" for value in mail.values("content-type")):
        return "a report"
    if any(value.strip() == LOOP_MARK for value in mail.values("x-loop")):
        return "our own mail"
    if len(mail.values("received")) > RECEIVED_MAX:
        return f"more than {RECEIVED_MAX} Received headers"
    return None


def _is_unanswered(mail: Mail) -> bool:
    automatic = any(_keyword(value) != "no" for value in mail.values("auto-submitted"))
    return automatic or any(mail.values(name) for name in _UNANSWERED)


def _keyword(value: str) -> str:
    """The first word of a header, before parameters and comments."""
    return re.split(r"[;(\s]", value.strip(), maxsplit=1)[0].lower()
