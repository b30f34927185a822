"""What the tables of a configuration must agree on, so that nobody gets a specification in who may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from daemon.settings.given import Key
    from daemon.settings.senders import Sender
    from daemon.settings.smtp import Smtp

    #: A key, and what is wrong with what it says beside the others.
    Complaint = tuple[Key, str]


class Tables(Protocol):
    """The tables that must agree: the settings, as far as it matters here."""

    @property
    def smtp(self) -> Smtp:
        """How mail comes in, and what its proofs rest on."""

    @property
    def senders(self) -> Mapping[str, Sender]:
        """The rules by their names."""


def disagreements(settings: Tables) -> Iterator[Complaint]:
    """Each thing that one key says and another forbids, in words for the operator."""
    if listeners := [str(each) for each in settings.smtp.listen or () if each.needs_senders]:
        yield from for_strangers(settings, ", ".join(listeners))
    for name, sender in settings.senders.items():
        for proof in dict.fromkeys(sender.proof):
            if need := _need(settings.smtp, proof):
                yield ("senders", name, "proof"), need


def for_strangers(settings: Tables, listener: str) -> Iterator[Complaint]:
    """What must change before mail may come by ``listener``, which is not plain SMTP on loopback.

    Of listeners that the settings name this is asked when they are loaded;
    whoever is handed another one, such as a socket of systemd's, asks again.
    """
    strangers = f"on {listener} mail may come from strangers"
    if not settings.senders:
        yield ("smtp", "listen"), f"{strangers}, and nobody is named who may send; {_mend(settings.smtp)}"
    for name, sender in settings.senders.items():
        if "none" in sender.proof:
            words = f'"none" takes whatever From says, and {strangers}; ask for a proof, such as "dkim"'
            yield ("senders", name, "proof"), f"{words}, or listen by SMTP on loopback alone"


def _mend(smtp: Smtp) -> str:
    """The least that is missing, in TOML."""
    rule = '[senders.example] with from = ["*@example.com"], repos = ["example/*"] and proof = ["dkim"]'
    ours = "" if smtp.recipients else ', and to [smtp] recipients = ["specs@example.org"]'
    return f"add {rule}{ours}"


def _need(smtp: Smtp, proof: str) -> str | None:
    """What ``proof`` can't do without and has not got."""
    match proof:
        case "smtp-auth" if smtp.logins_file is None:
            return (
                '"smtp-auth" needs [smtp] logins_file, which says who may log in; specpost login add NAME'
                " --from ADDRESS --file PATH makes one"
            )
        case "authentication-results" if smtp.authserv_id is None:
            return (
                '"authentication-results" needs [smtp] authserv_id and relays, which say whose are believed;'
                " anybody else's prove nothing"
            )
        case "dkim" if not smtp.recipients:
            return (
                '"dkim" needs our addresses in [smtp] recipients: it proves a mail that was sent to one of'
                " them, else whoever holds a copy could send it again"
            )
    return None
