"""A dry run: what would become of a specification or a mail, without database, and offline unless asked."""

from __future__ import annotations

import json
import re
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from daemon import wiring
from daemon.commands import display, posting
from daemon.intake import judged
from daemon.mail import Envelope, Unreadable
from daemon.outcome import Verdict
from daemon.proving import Prover
from daemon.readers import Broken, Busy, Readers
from daemon.text import printable
from daemon.trust import judge
from daemon.trust.findings import Dkim
from daemon.trust.rules import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.reading import Defaults, PlannedSpec, Reading
    from daemon.records import Judged
    from daemon.settings import Settings
    from daemon.trust import Judgement

#: Header fields, and a From among them before the empty line.
_HEAD = re.compile(rb"(?:(?:[!-9;-~]+:|[ \t]|From )[^\n]*\n)*?From:", re.IGNORECASE)

_RETURN_PATH = re.compile(rb"(?:[^\r\n]+\r\n)*?Return-Path:\s*<([^<>\s]+)>", re.IGNORECASE)

#: Who mails a specification that is only checked.
SENDER, RECIPIENT = "check@localhost", "specs@localhost"


class CheckError(Exception):
    """There is no telling what would become of it; the text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be checked: ``peer`` is the address that would bring it, None when nobody says."""

    file: Path
    peer: str | None = None
    dns: bool = False


def check(asked: Asked, settings: Settings) -> bool:
    """Print what would become of a file (``-``: standard input); whether it would be taken, or ignored.

    A specification by itself has no sender: who may send is asked of mails
    alone.
    """
    envelope, is_mail = _envelope(asked, settings)
    defaults = wiring.defaults(settings)
    if not is_mail:
        defaults = replace(defaults, policy=Policy())
    readers = Readers(defaults, wiring.reader_limits(settings))
    try:
        readers.start()
        reading = readers.read(envelope).result()
        if asked.dns:
            judgement = _looked_up(envelope, reading, readers, defaults, settings)
        else:
            judgement = _offline(envelope, reading, defaults.policy)
    except (Unreadable, Broken) as reason:
        click.echo(f"verdict  {Verdict.HELD}: {printable(str(reason))}")
        return False
    except Busy as trouble:
        raise CheckError(f"{asked.file} could not be read: {trouble}") from trouble
    finally:
        readers.close()
    if judgement.later:
        raise CheckError(f"{asked.file} can't be judged now: {judgement.later}")
    found = judged(envelope, reading, judgement)
    _tell(found)
    if found.verdict is Verdict.REFUSED:
        _tell_what_is_unknown(asked)
    return found.verdict in (Verdict.ACCEPTED, Verdict.IGNORED)


def _looked_up(
    envelope: Envelope, reading: Reading, readers: Readers, defaults: Defaults, settings: Settings
) -> Judgement:
    resolver = wiring.resolver(settings)
    prover = Prover(readers, defaults, resolver, settings.dns.timeout)
    resolver.start()
    with closing(prover), closing(resolver):
        return prover.judge(envelope, reading).result()


def _offline(envelope: Envelope, reading: Reading, policy: Policy) -> Judgement:
    found = reading.found
    if found.dkim and found.dkim.questions:
        names = ", ".join(map(str, sorted(found.dkim.questions)))
        unchecked = Dkim(why=(f"DKIM not checked (offline); --dns looks up {names}",))
        found = replace(found, dkim=unchecked)
    return judge(envelope, reading.mail, reading.requests(), found, policy)


def _tell_what_is_unknown(asked: Asked) -> None:
    """What a file can't say, and whoever brings the mail would."""
    click.echo("note     it was judged as if it came now")
    if asked.peer is None:
        click.echo(
            "note     nobody said who would bring it (--peer ADDRESS), so SPF and a relay's word don't count"
        )


def _envelope(asked: Asked, settings: Settings) -> tuple[Envelope, bool]:
    """How the file would come, and whether it is a mail already."""
    recipient = next(iter(settings.smtp.recipients), RECIPIENT)
    content = _content(asked.file, settings.smtp.max_size)
    is_mail = _is_mail(asked.file, content)
    if is_mail:
        raw = posting.crlf(content)
    else:
        name = "standard-input" if str(asked.file) == "-" else asked.file.name
        raw = posting.wrap({name: content}, SENDER, recipient, None)
    peer, now = asked.peer or "nowhere", datetime.now(UTC)
    return Envelope(raw, "check", peer, _mail_from(raw), (recipient,), now), is_mail


def _mail_from(raw: bytes) -> str:
    """The envelope's sender, which whoever delivered the mail wrote on top of it (RFC 5321, 4.4)."""
    written = _RETURN_PATH.match(raw)
    return written[1].decode("ascii", "replace") if written else SENDER


def _content(file: Path, most: int) -> bytes:
    """What is in ``file``; a device or a pipe may never end."""
    with sys.stdin.buffer if str(file) == "-" else file.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise CheckError(f"{file} has more than the {most:,} bytes that a mail may have ([smtp] max_size)")
    return content


def _is_mail(file: Path, content: bytes) -> bool:
    """By the file's name; standard input has none, and is one when it begins with headers as mails have."""
    if str(file) != "-":
        return file.suffix.lower() == ".eml"
    return _HEAD.match(content) is not None


def _tell(found: Judged) -> None:
    click.echo(f"verdict  {found.verdict}" + (f": {printable(found.reason, 1000)}" if found.reason else ""))
    for problem in found.problems:
        click.echo(printable(str(problem), 1000))
    for spec in found.specs:
        _tell_spec(spec)


def _tell_spec(spec: PlannedSpec) -> None:
    click.echo(f"\nspec     {printable(spec.document.label)}")
    click.echo(f"target   {printable(f'{spec.target.repo}@{spec.target.branch}')}")
    if spec.project:
        click.echo(f"project  {printable(spec.project)}")
    for key in spec.unchecked:
        click.echo(f"note     {printable(key)} is kept, and not checked: no criterion of that name is known")
    click.echo()
    sprints = json.loads(spec.plan)["sprints"]
    rows = [(s["label"], display.dod(s["dod"]), "; ".join(s["goals"]) or "-") for s in sprints]
    display.table(("SPRINT", "DONE WHEN", "GOALS"), rows)
