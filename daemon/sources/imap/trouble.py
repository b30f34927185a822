"""Trouble with a mail server: what it may be, each told apart, and how long to leave the server alone."""

from __future__ import annotations

import re
import ssl
from imaplib import IMAP4
from typing import TYPE_CHECKING, ClassVar

from imapclient.exceptions import InvalidCriteriaError

from daemon.text import printable

if TYPE_CHECKING:
    from imapclient import IMAPClient

#: Seconds between two logins after one was refused.
AFTER_REFUSAL = 60.0
#: Characters of a server's words that are repeated.
_TEXT = 200

#: A response code (RFC 3501, 7.1; RFC 5530).
_CODE = re.compile(r"\[([A-Z][A-Z0-9-]*)[ \]]")
_BUSY_CODES = {"UNAVAILABLE", "LIMIT", "INUSE", "THROTTLED"}
#: What large providers write instead: Gmail, Yahoo, Exchange.
_BUSY_WORDS = re.compile(r"too many|throttl|rate limit|try again|temporar|backoff|server busy", re.IGNORECASE)
#: Exchange says how long, in milliseconds.
_BACKOFF = re.compile(r"backoff time: *([0-9]{1,9})", re.IGNORECASE)


class Trouble(Exception):  # noqa: N818 - the server's state, and no error of ours
    """A session came to its end; the text says why, in the server's words where it said any.

    ``least`` are seconds for which the server is left alone at least.
    """

    state: ClassVar[str] = "trouble"

    def __init__(self, text: str, least: float = 0.0) -> None:
        super().__init__(printable(text, _TEXT))
        self.least = least


class Unreachable(Trouble):
    """There is no connection, or there is none any more."""

    state = "unreachable"


class Silent(Trouble):
    """The server took longer than any command may."""

    state = "no answer"


class Untrusted(Trouble):
    """The server can't prove that it is the one, or doesn't offer TLS: nobody logs in."""

    state = "not trusted"


class LoginRefused(Trouble):
    """The server doesn't take the name and password, or the token."""

    state = "login refused"


class Throttled(Trouble):
    """We come too often, or somebody does, or the server is too busy."""

    state = "throttled"


class NoConsent(Trouble):
    """There is no token until a person acts."""

    state = "no consent"


class Farewell(Trouble):
    """The server said BYE."""

    state = "sent away"


class Renumbered(Trouble):
    """The folder's mails have other UIDs by now."""

    state = "renumbered"


class Declined(Trouble):
    """The server said NO to a command."""

    state = "declined"


class Misunderstood(Trouble):
    """The server said BAD, or something that is no IMAP."""

    state = "misunderstood"


def of_command(error: Exception, command: str, client: IMAPClient | None) -> Trouble:
    """What became of a session when ``command`` raised ``error``."""
    if farewell := _farewell(client):
        return _busy(farewell) or Farewell(f"BYE at {command}: {farewell}")
    match error:
        case TimeoutError():
            return Silent(f"nothing came at {command}")
        case ssl.SSLCertVerificationError():
            return Untrusted(f"its certificate: {error.verify_message}")
        case IMAP4.abort() | OSError():
            return Unreachable(f"{command}: {error}")
    return _busy(str(error)) or _answered(error, command)


def _answered(error: Exception, command: str) -> Trouble:
    """NO or BAD; imaplib raises the latter by itself, with the word in its text, and for what is no IMAP."""
    text = str(error)
    if isinstance(error, InvalidCriteriaError):  # imapclient's word for BAD to a search
        return Misunderstood(f"BAD to {command}: {text.partition(chr(10))[0]}")
    if isinstance(error, IMAP4.error) and "BAD" not in text:
        return Declined(f"NO to {command}: {text}")
    return Misunderstood(f"{command}: {type(error).__name__}: {text}")


def of_login(error: Exception, client: IMAPClient) -> Trouble:
    """What became of a session when logging in raised ``error``; imapclient hides what it was."""
    cause = error.__context__ or error
    if isinstance(cause, IMAP4.abort | OSError) or _farewell(client):
        return of_command(cause if isinstance(cause, Exception) else error, "login", client)
    return _busy(str(error)) or LoginRefused(str(error), AFTER_REFUSAL)


def _farewell(client: IMAPClient | None) -> str:
    said = client._imap.untagged_responses.get("BYE") if client else None  # noqa: SLF001 - imaplib keeps it there
    return said[-1].decode(errors="replace") if said else ""


def _busy(text: str) -> Throttled | None:
    codes = set(_CODE.findall(text))
    if codes & {"AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED"}:
        return None
    if codes & _BUSY_CODES or _BUSY_WORDS.search(text):
        asked = _BACKOFF.search(text)
        return Throttled(text, max(AFTER_REFUSAL, int(asked[1]) / 1000 if asked else 0.0))
    return None
