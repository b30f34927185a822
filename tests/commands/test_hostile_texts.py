"""What a stranger wrote, wherever it is shown: it can be read, and it does nothing."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from daemon.log import Event, configure
from tests.fix_daemon import specpost
from tests.fix_house import a_mail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

#: A terminal's title, its screen, colours in eight bits, directions, no widths, line ends, and a mark that
#: joins nothing; between them, letters that must stay.
EVIL = (
    "é\x1b]0;owned\x07\x1b[2J\x7f\u202e\u2066\u200e\u061c\u200b\u200c\u200d\u2060\ufeff\u2028\u2029\u034f🚀"
)
#: What of it a document may say, if it spells it: controls are refused even so.
SPELT = "".join(
    f"\\u{ord(char):04x}" if char < "\uffff" else char for char in EVIL if unicodedata.category(char) != "Cc"
)

SPEC = f"""\
meta: {{project: "p{SPELT}", repo: example/tides}}
planning:
  epics:
    - sprints:
        - id: "S1{SPELT}"
          goals: ["goal{SPELT}", "two\\nlines"]
          dod: {{"key{SPELT}": "value{SPELT}"}}
"""
BROKEN = f'meta: {{repo: "no{SPELT} repo"}}\n"planing{SPELT}": {{}}\n'


def harmful(text: str) -> list[str]:
    """The characters of ``text`` that a terminal obeys or nobody sees; line ends are the printer's own."""
    found = {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")}
    return sorted(hex(ord(char)) for char in found - {"\n"} | ({"\u034f"} & set(text)))


def texts(value: Any) -> Iterator[str]:
    """Every text in some JSON, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for pair in value.items() for each in pair for text in texts(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in texts(each))


def evil_mail(content: str, number: int) -> bytes:
    """A mail that is evil wherever its sender could write."""
    return (
        a_mail(
            (f"spec{EVIL.replace(chr(0x2028), '').replace(chr(0x2029), '')}.yaml", content),
            ("another=1b]0;owned=07.txt", b"\xff"),
        )
        .replace(b"Subject: tides\r\n", subject() + b"X-Evil: \x1b[2J\r\n", 1)
        .replace(b"From: Ana <", 'From: "Ana \u202e\u200b" <'.encode(), 1)
        .replace(b"<tides@", f"<\u202e{number}\u200b@".encode(), 1)
    )


def subject() -> bytes:
    """Raw and encoded: a relay lets both through."""
    encoded = "".join(f"={octet:02X}" for octet in EVIL.encode())
    return f"Subject: =?utf-8?q?{encoded}?= \x1b]0;raw\x07 \u202e\u200b\r\n".encode()


@pytest.fixture
def told(daemon: Daemon) -> list[tuple[int, str]]:
    """What two evil mails were answered: one that is taken, one that is not."""
    return [daemon.mail(evil_mail(content, number)) for number, content in enumerate((SPEC, BROKEN))]


def test_no_command_prints_it(daemon: Daemon, told: list[tuple[int, str]]) -> None:
    """Neither as a table nor as JSON, and what can be seen of it is there."""
    assert [code for code, _ in told] == [250, 550], told
    spec_id = json.loads(specpost("specs", "--json", env=daemon.env).stdout)["id"]
    shown = {
        args: specpost(*args, env=daemon.env).stdout
        for command in (("tail",), ("specs",), ("show", spec_id))
        for args in (command, (*command, "--json"))
    }

    assert {args: harmful(text) for args, text in shown.items()} == {args: [] for args in shown}
    assert "owned" in shown["tail",]
    assert "goal" in shown["tail", "--json"]
    assert "🚀" in shown["tail", "--json"]
    assert all(json.loads(line) for args in shown if "--json" in args for line in shown[args].splitlines())


def test_no_answer_repeats_it(told: list[tuple[int, str]]) -> None:
    """SMTP speaks printable ASCII, one line."""
    assert all(text.isascii() and text.isprintable() for _, text in told)


def test_the_log_does_not_hold_it(daemon: Daemon, told: list[tuple[int, str]]) -> None:
    """The line of the mail, its phases, and its failure."""
    daemon.stop()  # an answer may be on its way before its line is
    lines = daemon.log()

    assert harmful(daemon.log_file.read_text()) == []
    assert {"mail", "SPEC_RECEIVED", "PLANNING", "FAILED"} <= {line["event"] for line in lines}
    assert all(harmful(text) == [] for line in lines for text in texts(line))


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_neither_form_of_the_log_repeats_it(log_format: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In a value, in a list, in a key, in an exception."""
    configure(log_format)
    error = ValueError(EVIL)
    structlog.get_logger().error(
        Event.INTERNAL_ERROR, subject=EVIL, specs=[EVIL], evidence={EVIL: {"dkim": EVIL}}, exc_info=error
    )

    assert harmful(capsys.readouterr().err) == []


def test_no_event_holds_it(told: list[tuple[int, str]], database: Database) -> None:
    """Dashboards show events and know nothing of mail; line ends stay, where a goal has them."""
    with database.connect("owner") as conn:
        rows = conn.execute("select phase, message, metadata from status_events order by id").fetchall()

    assert [row[0] for row in rows] == ["SPEC_RECEIVED", "PLANNING", "FAILED"]
    wrong = {(row[0], text): found for row in rows for text in texts(list(row)) if (found := harmful(text))}
    assert wrong == {}
    assert "two\nlines" in rows[1][2]["sprints"][0]["goals"]


def test_check_does_not_print_it(tmp_path: Path) -> None:
    """A mail that is looked at before it is let in is not yet anybody's friend."""
    for number, content in enumerate((SPEC, BROKEN)):
        mail = tmp_path / f"{number}.eml"
        mail.write_bytes(evil_mail(content, number))

        done = specpost("check", str(mail))

        assert harmful(done.stdout + done.stderr) == []
        assert ("verdict  accepted" in done.stdout) == (content == SPEC), done.stdout
        assert "owned" in done.stdout
