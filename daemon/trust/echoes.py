"""Echoes: mail that is nobody's request, and mail that nobody waits on an answer to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.mail import Envelope, Mail

#: Hops after which a mail is taken to go in circles (RFC 5321, 6.3, asks for a large number).
RECEIVED_MAX = 30
#: What our own answers carry in ``X-Loop``, so that we never answer ourselves.
LOOP_MARK = "specpost"
#: Headers of mail that no person waits on an answer to (RFC 3834, RFC 2369, and Microsoft's own).
_UNANSWERED = ("list-id", "list-unsubscribe", "list-post", "precedence", "x-auto-response-suppress")


def echo(envelope: Envelope, mail: Mail) -> str | None:
    """Why this mail is an echo and no request; None when it may be one."""
    if _is_from_nobody(envelope, mail):
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


def may_be_answered(mail: Mail) -> bool:
    """Whether a person may wait for an answer, and it is known who."""
    automatic = any(_keyword(value) != "no" for value in mail.values("auto-submitted"))
    listed = any(mail.values(name) for name in _UNANSWERED)
    return mail.sender is not None and not automatic and not listed


def _is_from_nobody(envelope: Envelope, mail: Mail) -> bool:
    """Whether MAIL FROM was empty; in a mailbox Return-Path, written at delivery, says so (RFC 5321, 4.4)."""
    if envelope.source == "imap":
        return any(value.strip() == "<>" for value in mail.values("return-path")[:1])
    return envelope.mail_from is None


def _keyword(value: str) -> str:
    """The first word of a header, before parameters and comments."""
    return re.split(r"[;(\s]", value.strip(), maxsplit=1)[0].lower()
