"""The DNS answers nothing, refuses, fails, or is gone."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.rrset
import pytest

from tests.faults.letters import Letter
from tests.fix_daemon import PATIENCE
from tests.fix_dns import Impostor, _presented, nothing, refusing
from tests.fix_house import a_mail, spec_for
from tests.fix_signers import Stamp, by_dkimpy, key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from tests.faults.lab import Lab
    from tests.fix_database import Database

    NewLab = Callable[..., AbstractContextManager[Lab]]

pytestmark = pytest.mark.faults

DOMAIN = "signed.example"

#: The lab's own senders go on beside these.
RULE = {
    "SPECPOST_SENDERS__SIGNED__FROM": f"*@{DOMAIN}",
    "SPECPOST_SENDERS__SIGNED__REPOS": "example/*",
    "SPECPOST_SENDERS__SIGNED__PROOF": "dkim",
}

TROUBLES = {
    "silent": nothing,
    "refusing": refusing(dns.rcode.REFUSED),
    "failing": refusing(dns.rcode.SERVFAIL),
}


def signed(number: int) -> Letter:
    """A mail that its domain has signed, and whose key has a name of its own that nobody has asked for."""
    files = {"1.spec.yaml": spec_for(f"example/signed-{number}").encode()}
    message_id = f"<{number}@{DOMAIN}>"
    raw = a_mail(
        *files.items(),
        From=f"Ana <ana@{DOMAIN}>",
        Message_ID=message_id,
        Subject=f"signed {number}",
        Date=format_datetime(datetime.now(UTC)),
    )
    return Letter(message_id, by_dkimpy(raw, Stamp(domain=DOMAIN, selector=f"s{number}")), files, 1)


def publishing(query: dns.message.Message) -> list[bytes]:
    """The key, under whatever name."""
    response = dns.message.make_response(query, recursion_available=True)
    record = _presented("TXT", key("rsa2048").record)
    response.answer.append(dns.rrset.from_text(query.question[0].name, 0, "IN", "TXT", record))
    return [response.to_wire()]


@pytest.mark.parametrize("trouble", [*TROUBLES, "gone"])
def test_a_dns_in_trouble(trouble: str, lab: NewLab, database: Database) -> None:
    """A DNS that is silent, refuses, fails or is gone defers signed mails alone, until it answers."""
    mails = [signed(number) for number in range(20)]
    with ExitStack() as there:
        server = there.enter_context(Impostor(publishing))
        where = server.address
        asked = {"SPECPOST_DNS__SERVERS": "{}:{}".format(*where), "SPECPOST_DNS__TIMEOUT": "1s"}
        with lab(database, env=RULE | asked, sessions=16) as running:
            running.sender.keep_busy()
            running.sender.post(mails[:10])
            await_told(running, mails[:10], 250)

            if trouble == "gone":
                there.close()
            else:
                server.reply = TROUBLES[trouble]
            running.sender.post(mails[10:])
            await_told(running, mails[10:], 451)
            running.sender.await_taken(10)
            assert running.rows(BY_SIGNATURE) == [(10,)]

            if trouble == "gone":
                there.enter_context(Impostor(publishing, at=where))
            else:
                server.reply = publishing
            await_told(running, mails, 250)
            running.settle()

            assert set(running.sender.told()) == {250, 451}
            assert running.rows(BY_SIGNATURE) == [(20,)]


BY_SIGNATURE = "select count(*) from intake.mails where rule = 'signed' and evidence::text like '%dkim%'"


def await_told(running: Lab, mails: Sequence[Letter], code: int) -> None:
    """Return when each of these has been told so."""
    deadline = time.monotonic() + PATIENCE
    while any(code not in {each.code for each in running.sender.answers[mail.key]} for mail in mails):
        assert time.monotonic() < deadline, running.sender.told()
        time.sleep(0.02)
