"""Mailing files with a real SMTP client, as any sender would."""

from __future__ import annotations

import getpass
import mimetypes
import os
import re
import smtplib
import socket
from collections import Counter
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import localtime, make_msgid
from pathlib import PurePath
from typing import TYPE_CHECKING

from daemon import whereabouts
from daemon.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from daemon.settings import Settings

#: The SMTP reply to a mail that was taken.
ACCEPTED = 250
#: Where a daemon takes mail unless told otherwise.
USUAL = ("127.0.0.1", 8025)
#: Seconds to wait for each answer: a mail that breaks its readers is answered after half a minute.
TIMEOUT = 120.0

#: What the standard library's table lacks, by suffix (RFC 9512 and RFC 7763).
MEDIA_TYPES = {".yaml": "application/yaml", ".yml": "application/yaml", ".md": "text/markdown"}


class PostingError(Exception):
    """Nothing was mailed; the text says why."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message and the addresses for its envelope."""

    content: bytes
    sender: str
    recipient: str


def compose(
    files: Sequence[Path], settings: Settings, *, to: str | None, sender: str | None, subject: str | None
) -> Letter:
    """Make one mail of ``files``: specifications as its attachments, or one .eml as it is."""
    recipient = to or next(iter(settings.smtp.recipients), "specs@localhost")
    sender = sender or f"{_user()}@{socket.gethostname()}"
    messages = [file for file in files if file.suffix.lower() == ".eml"]
    if not messages:
        return Letter(wrap(_named(files), sender, recipient, subject), sender, recipient)
    if len(files) > 1 or subject:
        raise PostingError(f"{messages[0]} is a whole mail: send it by itself, and without --subject")
    return Letter(crlf(messages[0].read_bytes()), sender, recipient)


def _user() -> str:
    """Who we are; a container may run us under a number that has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}"


def _named(files: Sequence[Path]) -> dict[str, bytes]:
    """Files by their names; those that share one by the paths they were given as, so that none is lost."""
    names = Counter(file.name for file in files)
    return {file.name if names[file.name] == 1 else str(file): file.read_bytes() for file in files}


def wrap(files: Mapping[str, bytes], sender: str, recipient: str, subject: str | None) -> bytes:
    """A message with ``files``, by their names, attached byte for byte.

    Names and subject are made one line, for a file may be called anything.
    Raises PostingError when an address is none.
    """
    message = EmailMessage(policy=SMTP_POLICY)
    try:
        message["From"], message["To"] = sender, recipient
    except ValueError as error:
        raise PostingError(f"no address: {sender!r} or {recipient!r} ({error})") from error
    message["Subject"] = printable(" ".join((subject or ", ".join(files)).split()))
    message["Date"], message["Message-ID"] = localtime(), make_msgid(domain=sender.rpartition("@")[2])
    message.set_content("Sent by specpost send.\n")
    for name, content in files.items():
        maintype, _, subtype = _media_type(name).partition("/")
        message.add_attachment(content, maintype, subtype, filename=printable(name))
    return message.as_bytes()


def crlf(message: bytes) -> bytes:
    """``message`` with the line ends that mail has on the wire, and nothing else changed."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", message)


def door(settings: Settings, smtp: str | None) -> tuple[str, int]:
    """Where to mail to: ``smtp`` (HOST:PORT), else the daemon that runs on this state."""
    running = whereabouts.find(settings.state_dir)
    if not smtp and running and not running.smtp:
        raise PostingError(
            "the daemon on this machine takes mail by LMTP alone; --smtp HOST:PORT names a mail server"
        )
    given = smtp or (running.smtp[0] if running and running.smtp else None)
    if given is None:
        return USUAL
    host, colon, port = given.rpartition(":")
    if not host or not colon or not port.isdecimal():
        raise PostingError(f"--smtp takes HOST:PORT, such as 127.0.0.1:8025, and not {given!r}")
    return host.strip("[]"), int(port)


def deliver(
    letter: Letter, where: tuple[str, int], heard: Callable[[str], None] = lambda _: None
) -> tuple[int, str]:
    """Mail ``letter``; the answer that decided its fate, as code and text.

    ``heard`` gets each line of the dialogue. Raises PostingError when there is no answer.
    """
    host, port = where
    try:
        with _Dialogue(host, port, heard) as smtp:
            smtp.ehlo()
            code, text = smtp.mail(letter.sender)
            if code == ACCEPTED:
                code, text = smtp.rcpt(letter.recipient)
            if code == ACCEPTED:
                code, text = smtp.data(letter.content)
            return code, _said(text)
    except smtplib.SMTPResponseException as refused:  # at the greeting, or to DATA
        return refused.smtp_code, _said(refused.smtp_error)
    except (OSError, smtplib.SMTPException) as error:
        raise PostingError(
            f"no mail server answers at {host}:{port}: {error}; specpost run or specpost try starts one"
        ) from error
    except ValueError as error:
        addresses = f"{letter.sender!r} to {letter.recipient!r}"
        raise PostingError(f"SMTP can't say these addresses: {addresses} ({error})") from error


def _said(text: bytes | str) -> str:
    """A reply on one line; a server may be anybody's."""
    words = text if isinstance(text, str) else text.decode("ascii", "backslashreplace")
    return printable(" ".join(words.split()), 1000)


class _Dialogue(smtplib.SMTP):
    """An SMTP client that tells what is said, but for the message itself."""

    def __init__(self, host: str, port: int, heard: Callable[[str], None]) -> None:
        self._heard = heard
        super().__init__(host, port, timeout=TIMEOUT)

    def putcmd(self, cmd: str, args: str = "") -> None:
        self._heard(f"C: {cmd} {args}".rstrip())
        super().putcmd(cmd, args)

    def getreply(self) -> tuple[int, bytes]:
        code, text = super().getreply()
        self._heard(f"S: {code} {_said(text.splitlines()[-1] if text else b'')}")
        return code, text


def _media_type(name: str) -> str:
    guessed = MEDIA_TYPES.get(PurePath(name).suffix.lower()) or mimetypes.guess_type(name)[0]
    return guessed or "application/octet-stream"
