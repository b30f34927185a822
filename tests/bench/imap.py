"""The mailbox drained: by us, by what merely copies it, and by what people write or run today."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from db import embedded
from tests.bench import corpus, dovecot, ours, ours_imap
from tests.bench.case import Case, Goal, Limit, Programs, Scale
from tests.bench.delay import delayed
from tests.bench.job import Box, Place
from tests.bench.machine import apart
from tests.bench.measure import PEAK, tell
from tests.bench.rivals import getmail, mbsync, naive, parsedmarc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.bench.job import Drain
    from tests.bench.measure import Sample

CASES = ("near", "far", "big")

#: Seconds that a byte is on its way in the far case: 20 ms there and back.
ONE_WAY = 0.010
#: The slow may have fewer mails, for rates are compared.
MAILS = 800
QUICK_MAILS = {getmail.NAME: 200, naive.NAME: 200, parsedmarc.NAME: 100}
FAR_NAIVE_MAILS = {"quick": 60, "full": 100}
BIG_MAILS = {"quick": 25, "full": 100}

NEAR_GOALS = (
    Goal(mbsync.NAME, 0.6),
    Goal(getmail.NAME, 5),
    Goal(naive.NAME, 3),
    Goal(parsedmarc.NAME, 15),
)
FAR_GOALS = (Goal(naive.NAME, 20),)
BIG_GOALS = (Limit(PEAK, 300),)


class Bench:
    """The servers, the prepared mailboxes, and who of the rivals is here."""

    def __init__(self, place: Place, scale: Scale) -> None:
        self._place, self._scale = place, scale
        self._boxes: dict[tuple[Callable[[int], bytes], int], Box] = {}
        self._programs = Programs((ours, mbsync, getmail, naive, parsedmarc))
        self.cases = {"near": self._near, "far": self._far, "big": self._big}

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the programs that are here."""
        return self._programs.versions

    def _near(self) -> Case:
        """800 mails of 20 KB on loopback."""
        drains = {
            ours.NAME: ours_imap.drain,
            mbsync.NAME: mbsync.drain,
            getmail.NAME: getmail.drain,
            naive.NAME: naive.drain,
            parsedmarc.NAME: parsedmarc.drain,
        }
        few = {} if self._scale.full else QUICK_MAILS
        runs = {name: partial(self._run, name, drain, few.get(name, MAILS)) for name, drain in drains.items()}
        return self._programs.case("near", runs, self._scale.of(2, 5), NEAR_GOALS)

    def _far(self) -> Case:
        """The same with a round trip of 20 ms; what goes mail by mail is given few."""
        drains = {ours.NAME: ours_imap.drain, mbsync.NAME: mbsync.drain, naive.NAME: naive.drain}
        few = {naive.NAME: FAR_NAIVE_MAILS[self._scale.name]}
        with delayed(self._place.dovecot.port, ONE_WAY) as port:
            runs = {
                name: partial(self._run, name, drain, few.get(name, MAILS), through=port)
                for name, drain in drains.items()
            }
            return self._programs.case("far", runs, self._scale.of(2, 5), FAR_GOALS)

    def _big(self) -> Case:
        """Mails of 10 MB, for the memory they take."""
        mails = BIG_MAILS[self._scale.name]
        run = partial(self._run, ours.NAME, ours_imap.drain_watched, mails, mail=corpus.big_mail)
        return self._programs.case("big", {ours.NAME: run}, self._scale.of(1, 3), BIG_GOALS)

    def _run(
        self,
        name: str,
        drain: Drain,
        mails: int,
        *,
        through: int | None = None,
        mail: Callable[[int], bytes] = corpus.spec_mail,
    ) -> Sample:
        made_by = corpus.report_mail if name == parsedmarc.NAME else mail
        return self._place.do(drain, self._box(made_by, self._scale.most(mails)), through)

    def _box(self, mail: Callable[[int], bytes], mails: int) -> Box:
        if (mail, mails) not in self._boxes:
            template = self._place.root / "boxes" / f"{mail.__name__}-{mails}"
            tell(f"preparing {mails} times {mail.__name__}")
            dovecot.fill(template, map(mail, range(mails)), self._place.dovecot.owner)
            self._boxes[mail, mails] = Box(template, mails, mail)
        return self._boxes[mail, mails]


@contextmanager
def opened(root: Path, scale: Scale) -> Iterator[Bench]:
    """A bench whose servers run and keep all under ``root``; raises Missing."""
    (root / "jobs").mkdir()
    apart(root / "jobs")
    with ExitStack() as stack:
        server = stack.enter_context(dovecot.running(root / "dovecot"))
        # As the daemon brings it along: a commit is on the disk before it is one.
        postgres = stack.enter_context(embedded.running(root / "postgres"))
        yield Bench(Place(root, server, postgres), scale)
