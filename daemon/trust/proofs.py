"""Proofs: what shows that a mail is from whom it says, and what is missing where nothing does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.text import printable
from daemon.trust.alignment import a_labels, is_same, same_organisation
from daemon.trust.rules import Proof
from daemon.trust.signature.claim import LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.mail import Envelope, Mail
    from daemon.trust.findings import Dkim, Found


def prove(proof: Proof, envelope: Envelope, mail: Mail, found: Found) -> dict[str, Any] | str:
    """What proves the mail in this way, or in words why it isn't proven; the mail has a sender."""
    sender = mail.sender or ""
    match proof:
        case Proof.DKIM:
            return _by_dkim(found.dkim)
        case Proof.SMTP_AUTH:
            return _by_login(envelope, sender, found)
        case Proof.AUTHENTICATION_RESULTS:
            return _by_results(mail, sender.rpartition("@")[2], found)
        case Proof.NONE:
            return {}


def _by_dkim(dkim: Dkim | None) -> dict[str, Any] | str:
    if dkim and dkim.evidence is not None:
        return dkim.evidence
    return "; ".join(dkim.why if dkim else ()) or "no signature"


def _by_login(envelope: Envelope, sender: str, found: Found) -> dict[str, Any] | str:
    """Who logged in answers for the whole message, so nothing of it need be signed."""
    login = envelope.login
    if login is None:
        return "no login"
    owns = {address.lower() for address in login.owns}
    if sender.lower() not in owns:
        return f"the login {login.name} is not for {sender}"
    return {"login": login.name} | ({"letter": found.letter} if found.letter else {})


def _by_results(mail: Mail, domain: str, found: Found) -> dict[str, Any] | str:
    """By a relay's word that DKIM passed for a domain aligned with From's (RFC 7489, 3.1).

    Relaxed alignment alone: whether the sender's policy asks for more, the
    DNS knows, and the relay can be made to hold it. A pass says nothing of
    what was signed, so signatures of that organisation that are still in the
    mail must all be fit to prove it: which of them the relay means can't be
    told, and a stranger can add one that looks fit beside one that passes.
    Where the relay took them off, its word must do.
    """
    said = found.results
    if said is None:
        return "none by a relay of ours"
    passed = next((each for each in said.dkim if _aligned(each, domain)), None)
    if passed is None:
        return f"{said.authserv_id} says dkim=pass for no domain aligned with {domain}"
    spf = said.spf if said.spf and _aligned(said.spf, domain) else None
    if why := "; ".join(_unfit(mail, domain, found, spf)):
        return f"{said.authserv_id} says dkim=pass for {passed}, but {why}"
    told = {"authserv_id": said.authserv_id, "d": passed, "spf": spf, "letter": found.letter}
    return {key: value for key, value in told.items() if value}


def _unfit(mail: Mail, domain: str, found: Found, spf: str | None) -> Iterator[str]:
    """Why a signature that passed need not mean what the mail says now."""
    yield from found.doubts
    written = mail.values("dkim-signature")
    if len(written) > len(found.signatures) or any(len(value) > LENGTH_MAX for value in written):
        yield "it has signatures that were not looked at"
    for each in found.signatures:
        if _is_anothers(each.domain, domain):
            continue
        name = f"d={each.domain} s={each.selector}"
        yield from (f"{name}: {flaw}" for flaw in each.flaws)
        if not each.names_us and not spf:
            yield f"{name}: neither signs an address of ours nor passes SPF"


def _is_anothers(domain: str, sender_domain: str) -> bool:
    """Whether a signature is surely not the sender's; one whose domain we can't read, a relay may."""
    return a_labels(domain) is not None and not _aligned(domain, sender_domain)


def _aligned(domain: str, sender_domain: str) -> bool:
    return is_same(domain, sender_domain) or same_organisation(domain, sender_domain)


def shown(evidence: dict[str, Any]) -> dict[str, Any]:
    """``evidence`` fit to be stored and printed: what a stranger's text got into is one short line."""
    return {key: printable(value) if isinstance(value, str) else value for key, value in evidence.items()}
