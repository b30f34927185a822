"""Mails of the whole world, collected by other projects: each gets a verdict, and none stops the door."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from daemon.child import Limits
from daemon.commands.posting import crlf
from daemon.mail import Unreadable, parse
from daemon.outcome import Verdict
from daemon.sources.answers import ANSWERS
from daemon.trust.signature.recipients import addresses
from tests.fix_daemon import SHARED, new_daemon
from tests.fix_dns import Impostor, honest, refusing
from tests.fix_house import DEFAULTS, US, a_mail, an_envelope, new_house, new_readers
from tests.fix_posting import hand_in_all, sent_by, verdicts
from tests.fix_signers import key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from daemon.mail import Mail
    from daemon.outcome import Outcome
    from tests.fix_daemon import Daemon
    from tests.fix_database import Database
    from tests.fix_house import House
    from tests.fix_posting import Answer

MAILS = sorted(
    path for path in (SHARED / "mails").rglob("*") if path.is_file() and path.suffix in {".eml", ".txt"}
)

#: Mails under way at a time, fewer than may wait for the slow lane.
SENDERS = 12

#: Everybody in the corpus may send, if only they can prove it; so may who sends the honest mail.
CONFIGURATION = """\
[dns]
servers = "127.0.0.1:{dns}"
[smtp]
authserv_id = "mx.google.com"
relays = "127.0.0.0/8"
[senders.corpus]
from = {senders}
repos = "example/*"
proof = ["dkim", "authentication-results"]
[senders.honest]
from = "ana@example.org"
repos = "example/*"
proof = "none"
"""

pytestmark = pytest.mark.skipif(not MAILS, reason="needs the folder shared/mails beside the checkout")


def as_it_lies(raw: bytes) -> bytes:
    """A file's own line ends, whatever they are."""
    return raw


@pytest.mark.long
@pytest.mark.parametrize("line_ends", [as_it_lies, crlf])
def test_every_mail_gets_a_verdict(
    database: Database, tmp_path: Path, line_ends: Callable[[bytes], bytes]
) -> None:
    """No crash, nothing deferred for its own sake, and the next honest mail is taken at once."""
    limits = Limits()
    with new_readers(limits) as readers, new_house(readers, database, tmp_path / "storage") as house:
        with ThreadPoolExecutor(SENDERS) as senders:
            outcomes = list(senders.map(lambda path: house.take(line_ends(path.read_bytes())), MAILS))

        verdicts = Counter(outcome.verdict for outcome in outcomes)
        print(", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))  # noqa: T201 - with -s
        assert Verdict.DEFERRED not in verdicts
        assert _broken(outcomes) == set()
        _assert_each_is_known(house)
        assert house.intake.alive()
        started = time.monotonic()
        assert house.take(a_mail()).verdict is Verdict.ACCEPTED
        assert time.monotonic() - started < 3 * limits.deadline


def _broken(outcomes: Sequence[Outcome]) -> set[str]:
    """The folders of the mails that nobody could read."""
    return {
        path.parent.name
        for path, outcome in zip(MAILS, outcomes, strict=True)
        if outcome.reason.startswith("broke its reader")
    }


def _assert_each_is_known(house: House) -> None:
    """The rows say of each mail what its sender was told."""
    ((recorded,),) = house.rows("select count(*) from intake.arrivals")
    assert recorded == len(MAILS)
    assert house.rows("select 1 from intake.arrivals where verdict = 'deferred'") == []


def of_today(raw: bytes) -> bytes:
    """With today's Date, else no signature is looked at any further; it is broken by that, if it was good."""
    date = format_datetime(datetime.now(UTC)).encode()
    head, blank, body = raw.partition(b"\r\n\r\n")
    return (
        re.sub(rb"^Date:[^\r\n]*", b"Date: " + date, head, flags=re.MULTILINE | re.IGNORECASE) + blank + body
    )


def readable(raws: Iterable[bytes]) -> Iterator[Mail]:
    """What can be read of them."""
    for raw in raws:
        with suppress(Unreadable):
            yield parse(an_envelope(raw), DEFAULTS.ours)


def domains(mails: Iterable[Mail]) -> list[str]:
    """Everybody who is found in a From, as a rule names them."""
    return sorted({f"*@{mail.sender.rpartition('@')[2]}" for mail in mails if mail.sender})


def written_to(mails: Iterable[Mail]) -> set[str]:
    """Everybody whom they are written to, without the odd ones: signatures count that name one of ours."""
    values = (value for mail in mails for value in mail.values("to") + mail.values("cc"))
    found = (address.lower() for value in values for address in addresses(value))
    return {address for address in found if re.fullmatch(r"\w+(?:[.-]\w+)*@\w+(?:[.-]\w+)*", address)}


def any_key(query: dns.message.Message) -> list[bytes]:
    """A key for whoever asks for text, and no such name for all else."""
    if query.question[0].rdtype != dns.rdatatype.TXT:
        return refusing(dns.rcode.NXDOMAIN)(query)
    record = key("rsa2048").record
    return honest(query, f'"{record[:200]}" "{record[200:]}"')


def said(answers: Iterable[Answer]) -> str:
    """How often each answer was given, ids and problems left out."""
    kinds = Counter(f"{answer.code} {answer.text[:5]}" for answer in answers)
    return ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())


def assert_all_answered(daemon: Daemon, database: Database, raws: Sequence[bytes]) -> None:
    """Hand all in; each gets a final answer that agrees with its row, and an honest mail is taken after."""
    answers = hand_in_all(daemon.smtp, raws)

    recorded = verdicts(database, map(sent_by, range(len(raws))))
    for answer, verdict in zip(answers, recorded, strict=True):
        if verdict is None:  # refused before anybody read it: a line beyond all measure
            assert (answer.code, answer.text[:5]) == (554, "5.6.0")
        else:
            assert ANSWERS[Verdict(verdict)].startswith(f"{answer.code} {answer.text[:5]}")
    assert recorded.count(None) < len(raws) // 100
    assert daemon.process.poll() is None
    assert daemon.mail(a_mail())[0] == 250
    assert not {"internal error", "library"} & set(daemon.events())
    print(said(answers), Counter(recorded))  # noqa: T201 - with -s


def test_every_mail_by_smtp_is_answered(daemon: Daemon, database: Database) -> None:
    """A final answer for each, no session dropped, and the service goes on."""
    assert_all_answered(daemon, database, [crlf(path.read_bytes()) for path in MAILS])


def test_every_mail_by_smtp_is_answered_where_senders_have_to_prove_themselves(
    database: Database, tmp_path: Path
) -> None:
    """The same, of today, where there is a rule for every sender and a key under every name."""
    raws = [of_today(crlf(path.read_bytes())) for path in MAILS]
    mails = list(readable(raws))
    with Impostor(any_key) as dns_server:
        rules = tmp_path / "specpost.toml"
        rules.write_text(CONFIGURATION.format(dns=dns_server.address[1], senders=json.dumps(domains(mails))))
        variables = {
            "SPECPOST_DATABASE__URL": database.url,
            "SPECPOST_CONFIG": str(rules),
            "SPECPOST_SMTP__RECIPIENTS": ",".join([US, *sorted(written_to(mails))]),
        }
        with new_daemon(tmp_path / "daemon", **variables) as daemon:
            assert_all_answered(daemon, database, raws)

    keys = {name for name in dns_server.asked if "._domainkey." in name}
    print(f"{len(set(dns_server.asked))} names asked for, keys of {sorted(keys)}")  # noqa: T201 - with -s
    assert keys
