"""SIGHUP: a changed configuration takes effect while the service runs, and a broken one doesn't."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from daemon.changes import changed, merged
from daemon.settings import SettingsError, load
from tests.fix_daemon import new_daemon
from tests.fix_house import SPEC, US, a_mail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

NOWHERE = SPEC.replace("  repo: example/tides\n", "")


def config(folder: Path, text: str) -> Path:
    """A configuration file."""
    file = folder / "specpost.toml"
    file.write_text(text)
    return file


@contextmanager
def configured(database: Database, folder: Path, text: str) -> Iterator[Daemon]:
    """A daemon whose configuration is a file."""
    variables = {"SPECPOST_CONFIG": str(config(folder, text)), "SPECPOST_DATABASE__URL": database.url}
    with new_daemon(folder / "daemon", **variables) as daemon:
        yield daemon


def reload(daemon: Daemon, event: str) -> dict[str, object]:
    """Send SIGHUP, and await the line that says what came of it."""
    before = daemon.events().count(event)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.await_event(event, before + 1)
    return [line for line in daemon.log() if line["event"] == event][-1]


def nowhere(number: int) -> bytes:
    """A mail that names no repository."""
    return a_mail(("spec.yaml", NOWHERE), Message_ID=f"<{number}@example.org>")


def test_what_was_changed_takes_effect_and_what_is_broken_does_not(
    database: Database, tmp_path: Path
) -> None:
    """Without a restart; the log names the mistake, and what only a restart will change."""
    with configured(database, tmp_path, '[routing]\nrepo = "example/one"\n') as daemon:
        assert daemon.mail(nowhere(1))[0] == 250

        config(tmp_path, '[routing]\nrepo = "example/two"\n[smtp]\nhostname = "other.example.net"\n')
        assert reload(daemon, "configuration")["routing"] == {"repo": "example/two", "branch": "main"}
        assert [line["keys"] for line in daemon.log() if line["event"] == "restart needed"] == [
            ["smtp.hostname"]
        ]
        assert daemon.mail(nowhere(2))[0] == 250

        config(tmp_path, '[routing]\nrepo = "example/three"\nbranche = "x"\n')
        broken = reload(daemon, "configuration broken")
        assert (broken["level"], "routing.branche" in str(broken["reason"])) == ("error", True)
        assert daemon.mail(nowhere(3))[0] == 250

        (tmp_path / "specpost.toml").unlink()
        assert "specpost.toml" in str(reload(daemon, "configuration broken")["reason"])
        assert daemon.mail(nowhere(4))[0] == 250
        assert daemon.stop() == 0
    with database.connect("owner") as conn:
        found = conn.execute("select repo from specs order by created_at").fetchall()
    assert [repo for (repo,) in found] == ["example/one", *["example/two"] * 3]


def test_who_may_send_and_to_whom_can_be_changed(database: Database, tmp_path: Path) -> None:
    """Rules and our addresses, from the next mail on."""
    rule = '[senders.x]\nfrom = ["{}"]\nrepos = ["example/*"]\nproof = ["none"]\n'
    with configured(database, tmp_path, rule.format("bo@example.org")) as daemon:
        assert daemon.mail(a_mail())[0] == 550
        config(tmp_path, rule.format("ana@example.org"))
        reload(daemon, "configuration")
        assert daemon.mail(a_mail())[0] == 250


def test_what_is_under_way_is_finished_by_the_rules_it_began_with(database: Database, tmp_path: Path) -> None:
    """Many configurations after another, and mails all the while: each is judged by a whole one."""
    with configured(database, tmp_path, '[routing]\nrepo = "example/r0"\n') as daemon:
        for turn in range(1, 6):
            config(tmp_path, f'[routing]\nrepo = "example/r{turn}"\n')
            daemon.process.send_signal(signal.SIGHUP)
            for number in range(5):
                assert daemon.mail(nowhere(turn * 10 + number))[0] == 250
            daemon.await_event("configuration", turn + 1)
        assert "internal error" not in daemon.events()
        assert daemon.stop() == 0


def test_a_reload_never_lets_everybody_in(tmp_path: Path) -> None:
    """Where it listens was decided by there being rules, so they can't all be taken away."""
    rule = '[senders.x]\nfrom = ["*@example.org"]\nrepos = ["example/*"]\nproof = ["dkim"]\n'
    ours = f'[smtp]\nrecipients = ["{US}"]\n'
    old = load(config(tmp_path, f'{ours}listen = "0.0.0.0:8025"\n{rule}'), {})

    with pytest.raises(SettingsError, match=r"senders: without any, .* needs a restart"):
        merged(old, load(config(tmp_path, ""), {}))
    with pytest.raises(SettingsError, match="takes whatever From says"):
        merged(old, load(config(tmp_path, f"{ours}{rule}".replace('"dkim"', '"none"')), {}))


def test_changes_are_named_by_their_keys(tmp_path: Path) -> None:
    """Tables that come and go by their own."""
    rule = '[senders.x]\nfrom = ["*@example.org"]\nrepos = ["example/*"]\nproof = ["none"]\n'
    old, new = load(config(tmp_path, ""), {}), load(config(tmp_path, f'[log]\nlevel = "debug"\n{rule}'), {})

    assert changed(old, new) == ["senders.x", "log.level"]
    assert changed(new, new) == []
