"""What the tables of a configuration must agree on, so that nobody gets a specification in who may not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from daemon.settings.given import Key
    from daemon.settings.imap import Imap
    from daemon.settings.listen import Listen
    from daemon.settings.oauth import Vault
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
    def imap(self) -> Mapping[str, Imap]:
        """The mailboxes by their accounts' names."""

    @property
    def oauth(self) -> Vault:
        """How tokens are kept."""

    @property
    def senders(self) -> Mapping[str, Sender]:
        """The rules by their names."""


def disagreements(settings: Tables) -> Iterator[Complaint]:
    """Each thing that one key says and another forbids, in words for the operator."""
    if listeners := [str(each) for each in settings.smtp.listen or () if each.needs_senders]:
        yield from for_strangers(settings, f"on {', '.join(listeners)}", ("smtp", "listen"))
    if settings.smtp.listen == () and not settings.imap:
        yield ("smtp", "listen"), _NO_DOOR
    if twice := _twice(settings.smtp.listen or ()):
        yield ("smtp", "listen"), f"{', '.join(twice)} can't be listened on twice; leave one out"
    for account, imap in settings.imap.items():
        yield from for_strangers(settings, f"in the mailbox {account}", ("imap", account))
        if imap.oauth and settings.oauth.key is None:
            yield ("imap", account, "oauth"), _NO_KEY
    for name, sender in settings.senders.items():
        for proof in dict.fromkeys(sender.proof):
            if need := _need(settings, proof):
                yield ("senders", name, "proof"), need


def for_strangers(settings: Tables, place: str, key: Key) -> Iterator[Complaint]:
    """What must change before mail may come from ``place``, "on …" or "in …", where others than we write.

    Of what the settings name, at ``key``, this is asked when they are loaded;
    whoever is handed a socket by systemd asks again.
    """
    strangers = f"{place} mail may come from strangers"
    if not settings.senders:
        yield key, f"{strangers}, and nobody is named who may send; {_mend(settings)}"
    for name, sender in settings.senders.items():
        if "none" in sender.proof:
            words = f'"none" takes whatever From says, and {strangers}; ask for a proof, such as "dkim"'
            yield ("senders", name, "proof"), f"{words}, or listen by SMTP on loopback alone"


def _twice(listeners: Sequence[Listen]) -> list[str]:
    """The places that are named more than once; each port 0 is another port."""
    named = Counter(each.place for each in listeners if each.path or each.port)
    return [place for place, times in named.items() if times > 1]


#: What is said where no mail could ever come in.
_NO_DOOR = (
    "[] turns SMTP off, and without a mailbox in [imap] nothing would ever come in; leave it out, or name an"
    " address"
)
#: What is said where tokens would lie open.
_NO_KEY = (
    "its tokens are kept sealed, and there is nothing to seal them with: set [oauth] key, best as the"
    " credential oauth__key (openssl rand -base64 32 makes one)"
)


def _mend(settings: Tables) -> str:
    """The least that is missing, in TOML."""
    rule = '[senders.example] with from = ["*@example.com"], repos = ["example/*"] and proof = ["dkim"]'
    ours = "" if _ours(settings) else ', and to [smtp] recipients = ["specs@example.org"]'
    return f"add {rule}{ours}"


def _ours(settings: Tables) -> bool:
    """Whether it is known which addresses are ours."""
    return bool(settings.smtp.recipients) or any("@" in imap.user for imap in settings.imap.values())


def _need(settings: Tables, proof: str) -> str | None:
    """What ``proof`` can't do without and has not got."""
    believed = settings.smtp.authserv_id or any(imap.authserv_id for imap in settings.imap.values())
    match proof:
        case "smtp-auth" if settings.smtp.logins_file is None:
            return (
                '"smtp-auth" needs [smtp] logins_file, which says who may log in; specpost login add NAME'
                " --from ADDRESS --file PATH makes one"
            )
        case "authentication-results" if not believed:
            return (
                '"authentication-results" needs [smtp] authserv_id and relays, or authserv_id of a mailbox,'
                " which say whose are believed; anybody else's prove nothing"
            )
        case "dkim" if not _ours(settings):
            return (
                '"dkim" needs our addresses in [smtp] recipients: it proves a mail that was sent to one of'
                " them, else whoever holds a copy could send it again"
            )
    return None
