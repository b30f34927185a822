"""What there is for a mail's being from its sender: gathered where hostile bytes are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.names import Answers
from daemon.trust import head, results, signature
from daemon.trust.findings import Case, Found
from daemon.trust.rules import Proof, allowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.mail import Addresses, Envelope, Mail
    from daemon.trust.rules import Policy, Rule


def find(envelope: Envelope, mail: Mail, rules: Sequence[Rule], policy: Policy, ours: Addresses) -> Found:
    """What can be found without asking anybody; DKIM names the questions it has."""
    if not allowed(rules, Proof.DKIM) and not allowed(rules, Proof.AUTHENTICATION_RESULTS):
        return Found()
    said = results.believed(mail.headers, envelope.peer, policy)
    case = Case.of(envelope, mail, said, ours)
    return Found(
        signatures=signature.signatures(case),
        dkim=signature.verify(case, Answers()) if allowed(rules, Proof.DKIM) else None,
        results=said,
        letter=signature.fingerprint(case) if said else None,
        doubts=(*head.doubts(mail.headers), *head.oddities(head.split(envelope.raw)[0], mail.headers)),
    )
