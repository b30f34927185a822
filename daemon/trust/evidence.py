"""What there is for a mail's being from its sender: gathered where hostile bytes are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.names import Answers
from daemon.trust import results, signature
from daemon.trust.findings import Case, Found
from daemon.trust.rules import Proof, allowed
from daemon.trust.signature import Letter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.mail import Addresses, Envelope, Mail
    from daemon.trust.rules import Policy, Rule


def may_prove(envelope: Envelope, rules: Sequence[Rule], found: Found) -> bool:
    """Whether any of ``rules`` may yet be satisfied, so that it is worth reading what is asked for."""
    dkim = found.dkim is not None and bool(found.dkim.questions)
    return dkim or envelope.login is not None or found.results is not None or allowed(rules, Proof.NONE)


def find(envelope: Envelope, mail: Mail, rules: Sequence[Rule], policy: Policy, ours: Addresses) -> Found:
    """What can be found without asking anybody; DKIM names the questions it has."""
    if not allowed(rules, Proof.DKIM) and not allowed(rules, Proof.AUTHENTICATION_RESULTS):
        return Found()
    said = results.believed(mail.headers, policy.believes(envelope))
    letter = Letter.of(Case.of(envelope, mail, said, ours, relayed=policy.is_relayed(envelope)))
    return Found(
        signatures=signature.signatures(letter),
        dkim=signature.verify(letter, Answers()) if allowed(rules, Proof.DKIM) else None,
        results=said,
        letter=signature.fingerprint(letter),
        doubts=letter.doubts,
    )
