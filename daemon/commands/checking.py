"""A dry run: what would become of a specification or a mail, without database or network."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from daemon import service
from daemon.commands import display, posting
from daemon.intake import judged
from daemon.mail import Envelope, Unreadable
from daemon.outcome import Verdict
from daemon.readers import Broken, Busy, Readers
from daemon.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.reading import PlannedSpec
    from daemon.records import Judged
    from daemon.settings import Settings

_MAIL_HEADER = re.compile(
    rb"From |(?:Return-Path|Received|From|To|Subject|Date|Message-ID|MIME-Version):", re.IGNORECASE
)

#: Who mails a specification that is only checked.
SENDER, RECIPIENT = "check@localhost", "specs@localhost"


class CheckError(Exception):
    """There is no telling what would become of it; the text says why."""


def check(file: Path, settings: Settings) -> bool:
    """Print what would become of ``file`` (``-``: standard input); whether it would be taken, or ignored."""
    envelope = _envelope(file, settings)
    readers = Readers(service.defaults(settings), service.reader_limits(settings))
    try:
        readers.start()
        found = judged(envelope, readers.read(envelope).result())
    except (Unreadable, Broken) as reason:
        click.echo(f"verdict  {Verdict.HELD}: {printable(str(reason))}")
        return False
    except Busy as trouble:
        raise CheckError(f"{file} could not be read: {trouble}") from trouble
    finally:
        readers.close()
    _tell(found)
    return found.verdict in (Verdict.ACCEPTED, Verdict.IGNORED)


def _envelope(file: Path, settings: Settings) -> Envelope:
    recipient = next(iter(settings.smtp.recipients), RECIPIENT)
    content = _content(file, settings.smtp.max_size)
    if _is_mail(file, content):
        raw = posting.crlf(content)
    else:
        name = "standard-input" if str(file) == "-" else file.name
        raw = posting.wrap({name: content}, SENDER, recipient, None)
    return Envelope(raw, "check", "local", SENDER, (recipient,), datetime.now(UTC))


def _content(file: Path, most: int) -> bytes:
    """What is in ``file``; a device or a pipe may never end."""
    with sys.stdin.buffer if str(file) == "-" else file.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise CheckError(f"{file} has more than the {most:,} bytes that a mail may have ([smtp] max_size)")
    return content


def _is_mail(file: Path, content: bytes) -> bool:
    """By the file's name; standard input has none, and is one when it begins with a header of mails."""
    if str(file) != "-":
        return file.suffix.lower() == ".eml"
    return _MAIL_HEADER.match(content) is not None


def _tell(found: Judged) -> None:
    click.echo(f"verdict  {found.verdict}" + (f": {found.reason}" if found.reason else ""))
    for problem in found.problems:
        click.echo(printable(str(problem), 1000))
    for spec in found.specs:
        _tell_spec(spec)


def _tell_spec(spec: PlannedSpec) -> None:
    click.echo(f"\nspec     {printable(spec.document.label)}")
    click.echo(f"target   {spec.target.repo}@{spec.target.branch}")
    if spec.project:
        click.echo(f"project  {printable(spec.project)}")
    for key in spec.unchecked:
        click.echo(f"note     {printable(key)} is kept, and not checked: no criterion of that name is known")
    click.echo()
    rows = [(s.label, display.dod(s.dod), "; ".join(s.goals) or "-") for s in spec.sprints]
    display.table(("SPRINT", "DONE WHEN", "GOALS"), rows)
