"""What becomes of the mails in a mailbox, on a real server: taken once, filed once, and else left alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from daemon.mail import Slot
from daemon.outcome import Verdict
from tests.fix_dovecot import new_dovecot
from tests.fix_house import US, an_envelope
from tests.fix_imap import a_letter, account_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fix_dovecot import Box
    from tests.fix_house import House
    from tests.fix_imap import Watched

    WatchOver = Callable[..., Watched]

BROKEN = ("spec.yaml", "meta:\n  repo: example/tides\nplanning:\n  epcis: []\n")


def poison(number: int, how: str = "crash") -> bytes:
    """A mail that does to its reader what its tag says."""
    return a_letter(number, To=US.replace("@", f"+{how}@"))


def lease(house: House, epoch: int) -> None:
    """Let the mailbox be watched by somebody who doesn't look at it."""
    with house.database.connect("owner", autocommit=True) as conn:
        conn.execute(
            "insert into intake.mailboxes (account, owner, epoch, leased_until)"
            " values ('specs', 'somebody', %s, now() + interval '1 hour')",
            [epoch],
        )


def test_each_mail_is_filed_by_its_verdict(box: Box, watch_over: WatchOver, house: House) -> None:
    """Accepted in Processed, to be mended in Rejected, unreadable in Held; the rest stays."""
    watch_over(account_of(box))
    good = a_letter(1)
    for raw in (good, a_letter(2, BROKEN), poison(3), a_letter(4, Auto_Submitted="auto-replied")):
        box.append(raw)

    box.await_count("Processed", 1)
    box.await_count("Rejected", 1)
    box.await_count("Held", 1)
    assert box.mails("Processed") == [good]
    box.await_count("INBOX", 1)
    assert house.rows("select verdict from intake.mails where reason like 'broke its reader%'") == [("held",)]


def test_what_was_there_before_us_stays_untouched(box: Box, watch_over: WatchOver, house: House) -> None:
    """By default a mailbox's past is nobody's order; what comes from now on is."""
    old = box.append(a_letter(1))
    watch_over(account_of(box))

    box.append(a_letter(2))

    box.await_count("Processed", 1)
    assert box.uids() == [old]
    assert box.flags() == {old: set()}
    assert house.rows("select message_id from intake.mails") == [("<2@example.org>",)]


def test_what_is_there_is_taken_where_that_is_wanted(box: Box, watch_over: WatchOver) -> None:
    """With existing = "take", in slices; in the order in which it came."""
    box.append_many(a_letter(number) for number in range(250))

    watched = watch_over(account_of(box, take_existing=True))

    assert box.count("Processed") == 250
    assert [verdict for _, verdict in watched.arrivals()] == ["accepted"] * 250


def test_a_poison_mail_keeps_nobody_waiting(box: Box, watch_over: WatchOver, house: House) -> None:
    """The ten behind it are taken, whole and once."""
    box.append_many([poison(0, "spin"), poison(1), *(a_letter(number) for number in range(2, 12))])

    watch_over(account_of(box, take_existing=True))

    assert (box.count("Processed"), box.count("Held"), box.count()) == (10, 2, 0)
    assert house.counts()["specs"] == 10


def test_how_it_fares_is_known(box: Box, watch_over: WatchOver, house: House) -> None:
    """In the words of ``systemctl status``, and for others in the database."""
    watched = watch_over(account_of(box))

    assert re.fullmatch(r"mailbox specs: waiting for mail, looked at \d+ s ago", watched.watch.status())
    watched.end()
    ((state, looked_at),) = house.rows("select state, looked_at from intake.mailboxes")
    assert (state, looked_at is None) == ("released", False)


def test_a_mailbox_is_no_peer(house: House) -> None:
    """It brings everybody's mail: the limit on what is held of one peer is not for it."""
    lease(house, epoch=1)
    slots = [Slot("specs", "INBOX", 1, uid, 1) for uid in range(1, 22)]

    held = [
        house.intake.hold(an_envelope(a_letter(slot.uid), source="imap", slot=slot), "why") for slot in slots
    ]

    assert {each.result(30).verdict for each in held} == {Verdict.HELD}
    assert house.counts()["mails"] == 21


def test_what_is_left_is_remembered_and_never_touched(box: Box, watch_over: WatchOver, house: House) -> None:
    """Neither marked nor moved nor taken twice, not by the next daemon either."""
    watched = watch_over(account_of(box))
    uid = box.append(a_letter(1, Auto_Submitted="auto-replied"))
    assert watched.await_arrivals(1) == [(uid, "ignored")]
    box.append(a_letter(2))
    box.await_count("Processed", 1)

    assert box.flags() == {uid: set()}
    assert house.counts()["arrivals"] == 2


def test_a_mail_that_a_person_has_read_is_taken_too(box: Box, watch_over: WatchOver) -> None:
    r"""\Seen is a person's, and says nothing of us."""
    watch_over(account_of(box))
    uid = box.append(poison(1, "slow"))
    with box.opened("INBOX", readonly=False) as client:
        client.uid("STORE", str(uid), "+FLAGS", r"(\Seen $Junk)")

    box.await_count("Processed", 1)


def test_the_same_mail_by_smtp_and_by_imap_is_one(box: Box, watch_over: WatchOver, house: House) -> None:
    """Whichever comes first; the second is told so and filed like the first."""
    assert house.take(a_letter(1)).verdict is Verdict.ACCEPTED
    watched = watch_over(account_of(box))

    uid = box.append(a_letter(1))

    box.await_count("Processed", 1)
    assert watched.arrivals() == [(uid, "duplicate")]
    assert house.counts()["specs"] == 1


def test_mails_that_are_numbered_anew_are_not_taken_twice(
    box: Box, watch_over: WatchOver, house: House, tmp_path: Path
) -> None:
    """After a restore UIDs mean other mails: each is looked at again, and its content tells."""
    account = account_of(box, filed={})
    watched = watch_over(account)
    box.append_many([a_letter(1), a_letter(2)])
    watched.await_arrivals(2)
    watched.end()

    box.change_uidvalidity()
    box.append(a_letter(3))
    again = watch_over(account)

    again.await_arrivals(5)
    assert house.counts()["specs"] == 3
    assert {folder for (folder,) in house.rows("select distinct folder from intake.folders")} == {"INBOX"}
    assert house.rows("select count(*) from intake.folders") == [(2,)]


def test_after_new_numbers_the_past_is_still_the_past(box: Box, watch_over: WatchOver, house: House) -> None:
    """What the server received before the first contact is none of ours under any numbering."""
    box.append(a_letter(1), when=datetime.now(UTC) - timedelta(days=9))
    account = account_of(box)
    watched = watch_over(account)
    watched.end()

    box.change_uidvalidity()
    box.append(a_letter(2))
    watch_over(account)

    box.await_count("Processed", 1)
    assert house.rows("select message_id from intake.mails") == [("<2@example.org>",)]
    assert box.count() == 1


def test_a_mail_beyond_the_size_is_set_aside_unread(box: Box, watch_over: WatchOver, house: House) -> None:
    """Its octets are never fetched; the register says why."""
    watched = watch_over(account_of(box, max_size=10_000))

    uid = box.append(a_letter(1, ("big.bin", b"x" * 20_000)))

    box.await_count("Held", 1)
    assert watched.arrivals() == [(uid, "held")]
    ((mail_id, reason),) = house.rows("select mail_id, reason from intake.arrivals")
    assert mail_id is None
    assert "max_size is 10000" in reason


def test_a_mail_in_many_pieces_arrives_whole(box: Box, watch_over: WatchOver, house: House) -> None:
    """Large mails are fetched by the mebibyte; not an octet is lost, also where they end with a piece."""
    watch_over(account_of(box))
    mails = []
    for number, size in enumerate((3 << 20, (1 << 20) + 1)):
        raw = a_letter(
            number, ("spec.yaml", b"meta: {repo: example/tides}\n"), ("big.bin", bytes(range(256)) * 100)
        )
        mails.append(raw + b"X" * (size - len(raw) - 2) + b"\r\n")
        box.append(mails[-1])

    box.await_count("Processed", 2)
    kept = [
        house.storage.get(key) for (key,) in house.rows("select key from intake.parts where place = 'raw'")
    ]
    assert sorted(map(len, kept)) == sorted(map(len, mails))
    assert sorted(kept) == sorted(mails)


@pytest.mark.parametrize(
    ("hidden", "left"), [({"MOVE"}, 0), ({"MOVE", "UIDPLUS"}, 3), ({"IDLE", "LITERAL+", "NAMESPACE"}, 0)]
)
def test_servers_that_can_less(
    hidden: set[str], left: int, watch_over: WatchOver, house: House, tmp_path: Path
) -> None:
    """Copied and expunged, or left where they are and remembered; found without being told."""
    with new_dovecot(tmp_path, hidden=hidden) as server:
        box = server.new_user()
        watched = watch_over(account_of(box, poll=0.2))
        other = box.append(a_letter(0, Auto_Submitted="auto-replied"))
        for number in (1, 2, 3):
            box.append(a_letter(number))

        watched.await_arrivals(4)
        watched.await_look(2)

        assert box.count() == left + 1
        assert box.count("Processed") == 3 - left
        assert box.flags()[other] == set()
        watched.end()
    assert house.counts()["arrivals"] == 4


@pytest.mark.parametrize(("prefix", "separator"), [("INBOX.", "."), ("", "/"), ("INBOX/", "/")])
def test_folders_are_made_where_the_server_keeps_them(
    prefix: str, separator: str, watch_over: WatchOver, tmp_path: Path
) -> None:
    """In its namespace, with its separator, in any language, and people see them."""
    with new_dovecot(tmp_path, prefix=prefix, separator=separator) as server:
        box = server.new_user()
        watched = watch_over(account_of(box, filed={Verdict.ACCEPTED: "Spécs & plans/Été 日本"}))
        box.append(a_letter(1))

        watched.await_arrivals(1)

        name = f"{prefix}Sp&AOk-cs &- plans{separator}&AMk-t&AOk- &ZeVnLA-"
        box.await_count(name, 1)
        with box.connected() as client:
            assert any(name.encode() in line for line in client.lsub()[1])
        watched.end()


def test_another_folder_is_watched(box: Box, watch_over: WatchOver, house: House) -> None:
    """Not everybody's specifications go to INBOX."""
    box.create("Specs")
    watch_over(account_of(box, folder="Specs"))
    box.append(a_letter(1))

    box.append(a_letter(2), "Specs")

    box.await_count("Processed", 1)
    assert house.rows("select message_id from intake.mails") == [("<2@example.org>",)]
    assert box.count() == 1


def test_what_ended_the_service_three_times_is_held_unread(
    box: Box, watch_over: WatchOver, house: House, tmp_path: Path
) -> None:
    """The mails that were being read when the service was last heard of are read one by one."""
    letters = [a_letter(1), a_letter(2)]
    uids = [box.append(letter) for letter in letters]
    with house.database.connect("owner", autocommit=True) as conn:
        conn.execute(
            "insert into intake.folders"
            " (account, folder, uidvalidity, first_uid, unfinished, alone_uid, alone_times)"
            " values ('specs', 'INBOX', %s, 1, %s, %s, 3)",
            [box.uidvalidity(), uids, uids[0]],
        )

    watched = watch_over(account_of(box))

    assert watched.arrivals() == [(uids[0], "held"), (uids[1], "accepted")]
    assert box.mails("Held") == letters[:1]
    assert house.rows("select unfinished, alone_uid from intake.folders") == [([], None)]


def test_a_lost_lease_records_nothing(house: House) -> None:
    """A daemon that was paused past its lease, and wakes up with mails in its hands, does no harm."""
    lease(house, epoch=7)

    late = house.take(a_letter(1), source="imap", slot=Slot("specs", "INBOX", 1, 1, 6))
    in_time = house.take(a_letter(2), source="imap", slot=Slot("specs", "INBOX", 1, 2, 7))

    assert (late.verdict, late.reason) == (Verdict.DEFERRED, "another daemon watches this mailbox by now")
    assert in_time.verdict is Verdict.ACCEPTED
    assert house.rows("select uid from intake.arrivals") == [(2,)]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_hundred_thousand_mails_are_no_burden(box: Box, watch_over: WatchOver, house: House) -> None:
    """None of them is fetched or touched; and what comes is taken as ever, also after a restart."""
    box.append_many(b"Subject: x\r\n\r\nx\r\n" for _ in range(100_000))
    assert box.count() == 100_000
    for number in (1, 2):
        watched = watch_over(account_of(box))
        box.append(a_letter(number))
        assert watched.await_arrivals(number)[-1] == (100_000 + number, "accepted")
        box.await_count("Processed", number)
        watched.end()

    assert house.counts()["mails"] == 2
    assert box.count() == 100_000
