"""What is found of the mails that were sent: rows of a database like ours, and every byte of the files."""

from __future__ import annotations

from hashlib import sha256
from operator import eq
from typing import TYPE_CHECKING

from tests.bench.corpus import expected
from tests.bench.job import expect, expect_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.bench.serving import Workload
    from tests.fix_database import Database

VERDICTS = "select verdict, count(*) from intake.mails group by verdict order by verdict"
_PLANS = """
select repo, (select count(*) from sprints where spec_id = specs.id), phases
from specs join (
  select metadata ->> 'spec_id' as spec_id, array_agg(phase order by id) as phases
  from status_events group by 1
) as told on told.spec_id = specs.id::text
"""
#: The number of a mail, which its Message-ID begins with.
NUMBER = "substring(mails.message_id from '^<?([0-9]+)[.]')::int"


def expect_rows(database: Database, workload: Workload, mails: int, phases: Sequence[str]) -> None:
    """The mails 0 to ``mails - 1``, and no others: accepted, with all sprints and these events."""
    due = [expected(workload, n) for n in range(mails)]
    with database.connect("owner") as conn:
        expect("verdicts", conn.execute(VERDICTS).fetchall(), [("accepted", mails)])
        arrivals = conn.execute("select count(distinct mail_id) from intake.arrivals").fetchone()
        plans = conn.execute(_PLANS).fetchall()
    expect("mails that arrived", arrivals, (mails,))
    expect("specifications", len(plans), mails)
    planned = sorted((each.repo, each.sprints, list(phases)) for each in due)
    expect_all("specifications without sprints or events", map(eq, sorted(plans), planned))


def expect_files(workload: Workload, mails: int, raw: Mapping[int, Path], specs: Mapping[int, Path]) -> None:
    """The files of mail 0 to ``mails - 1`` hold what was sent."""
    due = [expected(workload, n) for n in range(mails)]
    expect_all("stored messages differ", (_digest(raw[n]) == sent.mail for n, sent in enumerate(due)))
    expect_all(
        "stored specifications differ",
        (_digest(specs[n]) == sent.specification for n, sent in enumerate(due)),
    )


def _digest(file: Path) -> bytes:
    return sha256(file.read_bytes()).digest()
