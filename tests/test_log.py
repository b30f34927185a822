"""The log tells each thing by its one name, and nothing in it can hurt who reads it."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import structlog

from daemon.log import Event, Level, configure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Lines = Callable[[], list[dict[str, Any]]]

ROOT = Path(__file__).parent.parent

log = structlog.get_logger()


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is of the whole process: the next test finds it as this one did."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def lines() -> Lines:
    """The events logged as JSON so far."""
    stream = io.StringIO()
    configure("json", "info", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_that_begins_with_when_how_grave_and_what(lines: Lines) -> None:
    """Whoever reads raw JSON finds the three things they look for first at the front."""
    log.info(Event.MAIL, verdict="accepted", ids=[UUID(int=1)])

    (event,) = lines()
    assert list(event) == ["ts", "level", "event", "verdict", "ids"]
    assert (event["level"], event["event"]) == ("info", "mail")
    assert event["ids"] == [str(UUID(int=1))]
    assert event["ts"].endswith("Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(event["ts"])).total_seconds()) < 60


def test_accents_stay_and_escapes_do_nothing(lines: Lines) -> None:
    """A Subject is shown as it reads, and can't move the cursor or begin a line."""
    log.info(Event.MAIL, subject="Été 🚀\x1b[2J\r\n{}\u202e")

    assert lines()[0]["subject"] == r"Été 🚀\x1b[2J\r\n{}\u202e"


def test_values_are_bounded_and_bodies_are_never_told(lines: Lines) -> None:
    """However much a caller hands over, a line stays a line and bytes stay secret."""
    nested: list[Any] = []
    for _ in range(50):
        nested = [nested]

    log.info(
        Event.MAIL,
        text="a" * 1000,
        items=list(range(50)),
        mapping={f"k\x1b{number}": number for number in range(50)},
        raw=b"secret body",
        nested=nested,
        path=Path("/a"),
        error=ValueError("b" * 1000),
    )

    event = lines()[0]
    assert len(event["text"]) == 300
    assert event["items"][19:] == [19, "… 30 more"]
    assert event["mapping"][r"k\x1b0"] == 0
    assert event["mapping"]["…"] == "30 more"
    assert event["raw"] == "<11 bytes>"
    assert event["path"] == "/a"
    assert json.dumps(event["nested"]).startswith('[[[["[[')
    assert event["error"].startswith("ValueError: bbb")
    assert len(json.dumps(event)) < 3000


def test_an_exception_is_one_field_with_its_last_frames(lines: Lines) -> None:
    """Type, text, cause and place are there; passwords and line ends are not."""
    try:
        fail()
    except RuntimeError:
        log.exception(Event.INTERNAL_ERROR, mail="1")

    (event,) = lines()
    assert (event["level"], event["mail"]) == ("error", "1")
    assert event["error"].startswith(r"RuntimeError: first\nsecond (")
    assert re.search(r"test_log\.py:\d+ fail\), from ValueError: .*//me:\*\*\*@db/x$", event["error"])


def fail() -> None:
    """Fail as a pool does whose database is away, with the URL in the text."""
    try:
        connect()
    except ValueError as error:
        raise RuntimeError("first\nsecond") from error


def connect() -> None:
    """The failure behind the failure."""
    raise ValueError("no connection to postgresql://me:geheim@db/x")


@pytest.mark.parametrize(("level", "told"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_nothing_below_the_level_is_told(level: Level, told: int) -> None:
    """The level is the least that is logged."""
    stream = io.StringIO()
    configure("json", level, stream)

    for say in (log.debug, log.info, log.warning, log.error):
        say(Event.MAIL)

    assert len(stream.getvalue().splitlines()) == told


def test_libraries_speak_through_the_same_door_from_warnings_on(lines: Lines) -> None:
    """Their text is cleaned as ours is, and their chatter stays out."""
    library = logging.getLogger("mail.log")

    library.info("chatter")
    library.warning("peer %s", "\x1b[2J")
    library.log(35, "own level")
    try:
        fail()
    except RuntimeError:
        library.exception("broke")

    told = lines()
    assert [(event["level"], event["event"], event["logger"]) for event in told] == [
        ("warning", "library", "mail.log"),
        ("warning", "library", "mail.log"),
        ("error", "library", "mail.log"),
    ]
    assert [event["message"] for event in told] == [r"peer \x1b[2J", "own level", "broke"]
    assert told[2]["error"].startswith("RuntimeError")


def test_a_library_that_logs_wrongly_breaks_nothing() -> None:
    """A format string that does not fit is logged as it stands."""
    stream = io.StringIO()
    configure("json", "info", stream)

    logging.getLogger("mail.log").warning("%d mails", "no number")

    assert json.loads(stream.getvalue())["message"] == "%d mails"


def test_warnings_of_python_are_logged_too(lines: Lines) -> None:
    """A deprecation in production is a line of the log, not loose text between them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old\x1b", UserWarning, stacklevel=1)

    assert r"UserWarning: old\x1b" in lines()[0]["message"]


class Slow(io.StringIO):
    """A stream that lets another thread run in the middle of a line."""

    def write(self, text: str) -> int:
        """Write in two halves."""
        half = len(text) // 2
        written = super().write(text[:half])
        time.sleep(0)
        return written + super().write(text[half:])


def test_lines_of_many_threads_do_not_mix() -> None:
    """Each line is whole, whoever writes at the same time."""
    stream = Slow()
    configure("json", "info", stream)
    writers = [threading.Thread(target=lambda: [log.info(Event.MAIL) for _ in range(50)]) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["mail"] * 400


def test_a_reader_that_is_gone_harms_nobody() -> None:
    """A closed terminal or pipe loses the line, never the mail."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        configure("json", "info", stream)
        os.close(reading)
        log.info(Event.MAIL)
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)  # so that closing has nothing left to fail at
    log.info(Event.MAIL)


def test_a_terminal_gets_colours_and_no_stranger_adds_any() -> None:
    """``auto`` is the console form on a terminal; the only escapes in it are ours."""
    shown = on_a_terminal("auto", r"x\x1b[31m")

    assert "mail" in shown
    assert "\x1b[0m" in shown
    assert r"x\x1b[31m" in shown
    assert "\x1b[31m" not in shown


def on_a_terminal(log_format: str, subject: str) -> str:
    """What a child process whose standard error is a terminal logs."""
    code = (
        "import structlog; from daemon.log import Event, configure;"
        f"configure({log_format!r}); structlog.get_logger().info(Event.MAIL, subject='{subject}')"
    )
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=theirs, check=True)
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        return terminal.read(10_000).decode()


def test_console_on_a_file_has_no_colours() -> None:
    """Asked for by name, the console form is plain text elsewhere."""
    stream = io.StringIO()
    configure("console", "info", stream)

    log.warning(Event.READER_BROKE, lane="slow", reason="é")

    assert re.fullmatch(r"\S+Z \[warning *\] reader broke +lane=slow reason=é\n", stream.getvalue())


def test_the_journal_is_told_the_priority_and_not_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal stamps lines itself and filters by priority (``journalctl -p warning``)."""
    with (tmp_path / "journal").open("w+") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        configure("auto", "info", stream)
        log.error(Event.INTERNAL_ERROR, mail="1")
        log.info(Event.MAIL, verdict="accepted", subject='été ou "automne"\n')
        configure("json", "info", stream)
        log.info(Event.MAIL, mail="2")
        stream.seek(0)

        lines = stream.read().splitlines()

    assert lines == [
        "<3>internal error: mail=1",
        '<6>mail: verdict=accepted subject="été ou \\"automne\\"\\\\n"',
        '<6>{"level":"info","event":"mail","mail":"2"}',
    ]


def test_only_the_journals_own_stream_is_taken_for_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """``2> file`` under systemd keeps its times: the variable alone says nothing."""
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    stream = io.StringIO()
    configure("auto", "info", stream)

    log.info(Event.MAIL)

    assert "ts" in json.loads(stream.getvalue())


def test_the_daemon_logs_only_by_names_of_the_list() -> None:
    """Operators search by these words, so none is made up at the place of the call."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "daemon").rglob("*.py"))
        for line in made_up(path.read_text())
    ]

    assert wrong == []


def made_up(source: str) -> list[int]:
    """The lines that log what is not of the list."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and is_log_call(node)]
    return [call.lineno for call in calls if not (call.args and is_event(call.args[0], tree))]


def is_log_call(call: ast.Call) -> bool:
    """``log.info(…)``, ``self.log.warning(…)`` and their like."""
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr in {"debug", "info", "warning", "error", "exception", "critical", "log"}
        and ast.unparse(function.value).split(".")[-1] in {"log", "_log", "logger", "_logger"}
    )


def is_event(name: ast.expr, tree: ast.Module) -> bool:
    """Whether ``name`` is ``Event.NAME``, a choice of such, or a variable that is only ever given such."""
    if isinstance(name, ast.IfExp):
        return is_event(name.body, tree) and is_event(name.orelse, tree)
    if isinstance(name, ast.Name):
        given = [each.value for each in ast.walk(tree) if isinstance(each, ast.Assign) and is_to(each, name)]
        return bool(given) and all(is_event(value, tree) for value in given)
    return ast.unparse(name).removeprefix("Event.") in Event.__members__


def is_to(assignment: ast.Assign, name: ast.Name) -> bool:
    """Whether ``assignment`` is to ``name``."""
    return any(isinstance(target, ast.Name) and target.id == name.id for target in assignment.targets)


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("log.info(Event.MAIL)", []),
        ("self._log.error(Event.MAIL if a else Event.READY, x=1)", []),
        ("down = Event.MAIL if a else Event.READY\nlog.info(down)", []),
        ("log.info('mail')", [1]),
        ("log.info(Event.NOBODY)", [1]),
        ("log.info()", [1]),
        ("log.info(Event.MAIL if a else 'b')", [1]),
        ("log.info(down)", [1]),
        ("down = Event.MAIL\ndown = 'mail'\nlog.info(down)", [3]),
    ],
)
def test_the_rule_finds_what_breaks_it(source: str, wrong: list[int]) -> None:
    """The test above would notice."""
    assert made_up(source) == wrong


def test_a_line_costs_less_than_a_thousandth_of_a_mails_second(lines: Lines) -> None:
    """Ten lines a mail must not be what a busy daemon does; the bound is loose for slow machines."""
    began = time.process_time()
    for number in range(1000):
        log.info(Event.MAIL, verdict="accepted", subject="Spécification", mail=str(number), size=number)
    cost = (time.process_time() - began) / 1000

    assert len(lines()) == 1000
    assert cost < 0.001
