"""One row of the tables: a mail, how it comes, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from daemon.outcome import Verdict
from tests.fix_house import US

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.mail import Login


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mail on its way in.

    ``mail`` makes it when the test runs: signing takes time, and Date and
    Message-ID are of now. ``reason`` must occur in the reason that the
    operator reads, so that a refused mail is refused for what is wrong with
    it; ``evidence`` must be in the evidence of an accepted one.
    """

    mail: Callable[[], bytes]
    peer: str = "203.0.113.9"
    mail_from: str | None = "ana@example.com"
    rcpt_to: str = US
    login: Login | None = None
    verdict: Verdict
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


def accepted(mail: Callable[[], bytes], **changes: Any) -> Case:
    """A mail that gets in, by DKIM unless ``evidence`` says otherwise."""
    evidence = {"rule": "example", "proof": "dkim", "d": "example.com"} | changes.pop("evidence", {})
    return Case(mail=mail, verdict=Verdict.ACCEPTED, evidence=evidence, **changes)


def refused(mail: Callable[[], bytes], reason: str, **changes: Any) -> Case:
    """A mail that doesn't, and why."""
    return Case(mail=mail, verdict=Verdict.REFUSED, reason=reason, **changes)


def deferred(mail: Callable[[], bytes], reason: str, **changes: Any) -> Case:
    """A mail that is to come again, and why."""
    return Case(mail=mail, verdict=Verdict.DEFERRED, reason=reason, **changes)
