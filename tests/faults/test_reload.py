"""The configuration is changed while mails come in, well and badly."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.faults.lab import Lab
    from tests.fix_database import Database
    from tests.fix_dovecot import Box

    NewLab = Callable[..., AbstractContextManager[Lab]]

#: What of a configuration shows in a mail: which rule was its sender's when it was judged, and as it was read
#: by another process which branch and Definition of Done were usual.
NUMBERED = """
[routing]
branch = "b{number}"
[planning.default_dod]
lighthouse_min = {number}
"""

#: Mails that were read and judged by more than one configuration, and by how many there are any.
MIXED = """
select count(distinct m.rule), count(*) filter
  (where (m.rule, s.branch, p.dod_json->>'lighthouse_min') is distinct from ('team' || n, 'b' || n, n))
from intake.mails m join intake.parts a on a.mail_id = m.id and a.place like 'plan-%'
join specs s on s.id = a.spec_id join sprints p on p.spec_id = s.id,
lateral (select substr(m.rule, 5)) as number (n)
"""


def numbered(text: str, number: int) -> str:
    """A configuration that shows in mails."""
    return text.replace("[senders.team]", f"[senders.team{number}]") + NUMBERED.format(number=number)


#: How a configuration is spoilt, and what is said of it then.
SPOILT: list[tuple[Callable[[str], str], str]] = [
    (lambda text: text[: len(text) // 2], "bad TOML"),
    (lambda text: text.replace("recipients", "recipient"), "did you mean smtp.recipients?"),
    (lambda text: text.replace('"example/*"', "7"), "repos"),
    (lambda text: text.replace('["authentication-results"]', '["smtp-auth"]'), "logins_file"),
    (lambda text: text.partition("[senders]")[0], "senders: without any"),
]


@pytest.mark.parametrize("rounds", [1, pytest.param(3, id="many", marks=pytest.mark.faults)])
def test_reloads_under_load(rounds: int, lab: NewLab, database: Database, box: Box) -> None:
    """A configuration reloaded under load judges each mail as a whole, and a broken one changes nothing."""
    with lab(database, box=box) as running:
        path = Path(running.unit.env["SPECPOST_CONFIG"])
        usual = path.read_text()
        reload(running, path, numbered(usual, 1))
        running.sender.keep_busy()
        for number, (spoil, said) in enumerate(SPOILT * rounds, 2):
            running.mail(running.take(5))
            running.sender.await_taken(5)
            reload(running, path, numbered(usual, number))
            running.sender.await_taken(5)
            reload(running, path, spoil(numbered(usual, 99)), broken=said)
        running.sender.await_taken(5)
        running.sender.finish()
        path.write_text(numbered(usual, 100))
        running.unit.kill(signal.SIGHUP)
        running.settle()  # asks it to end at this moment

        assert running.unit.ends == [0]
        ((configurations, mixed),) = running.rows(MIXED)
        assert mixed == 0
        assert configurations - len(SPOILT) * rounds in (1, 2)  # the last may have come in time for a mail


def reload(running: Lab, path: Path, text: str, broken: str = "") -> None:
    """Have a configuration read, and return when it is in effect, or told to be broken."""
    event = "configuration broken" if broken else "configuration"
    before = running.events()[event]
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)
    running.unit.kill(signal.SIGHUP)
    running.await_logged(f'"event":"{event}"', before + 1)
    assert broken in [line for line in running._log() if f'"event":"{event}"' in line][-1]
