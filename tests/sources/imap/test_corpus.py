"""Mails of the whole world in one mailbox: each gets a verdict, and none stops the watch."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from daemon import ledger
from daemon.child import Limits
from daemon.outcome import Verdict
from tests.fix_daemon import SHARED
from tests.fix_house import new_house, new_readers
from tests.fix_imap import a_letter, account_of, watched

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_database import Database
    from tests.fix_dovecot import Box

MAILS = sorted(
    path for path in (SHARED / "mails").rglob("*") if path.is_file() and path.suffix in {".eml", ".txt"}
)

#: What becomes of them, and where the mails of each verdict are in the end.
FOLDERS = {
    Verdict.ACCEPTED: "Processed",
    Verdict.DUPLICATE: "Processed",
    Verdict.REJECTED: "Rejected",
    Verdict.HELD: "Held",
    Verdict.IGNORED: "INBOX",
}

pytestmark = pytest.mark.skipif(not MAILS, reason="needs the folder shared/mails beside the checkout")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_every_mail_of_a_mailbox_gets_a_verdict(box: Box, database: Database, tmp_path: Path) -> None:
    """None is deferred for ever or touched without reason, and the next honest mail is taken."""
    box.append_many(path.read_bytes() for path in MAILS)
    there = box.count()
    assert there == len(MAILS)
    with (
        new_readers(Limits()) as readers,
        new_house(readers, database, tmp_path / "storage") as house,
        watched(house, tmp_path, account_of(box, take_existing=True, poll=1.0)) as watch,
    ):
        found = Counter(verdict for _, verdict in watch.await_arrivals(there))
        print(found)  # noqa: T201 - with -s
        watch.await_status("waiting for mail")

        assert found.total() == there
        assert set(found) <= set(FOLDERS)
        assert found[Verdict.HELD] < ledger.HELD_A_PEER
        for folder in set(FOLDERS.values()):
            assert box.count(folder) == sum(
                found[verdict] for verdict in FOLDERS if FOLDERS[verdict] == folder
            )
        assert not any(box.flags().values())

        box.append(a_letter())
        assert watch.await_arrivals(there + 1)[-1][1] == Verdict.ACCEPTED
        assert watch.watch.alive()
        assert house.intake.alive()
