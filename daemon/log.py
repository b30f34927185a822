"""Logs: one vocabulary of events, one line each, and nothing in them that a stranger can abuse.

Every module logs through ``structlog.get_logger()`` with a name from
:class:`Event`; a test holds it. Values are cut and escaped here, in one
place, so that no caller has to think of what a Subject may contain.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TextIO

import orjson
import structlog

from daemon.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping
    from types import TracebackType

Format = Literal["auto", "console", "json"]
Level = Literal["debug", "info", "warning", "error"]

_TEXT = 300  # characters of a value
_ERROR = 1000  # characters of an exception, its frames included
_ITEMS = 20  # of a list or a mapping
_DEPTH = 4  # of lists and mappings in each other
_FRAMES = 5  # of a traceback, the innermost

#: What systemd-journald makes of a line that starts so (sd-daemon(3)), for ``journalctl -p``.
_PRIORITY = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}


class Event(StrEnum):
    """What can happen, by the name it has in the log for ever.

    Operators search and alert by these words: a new one is added, an old
    one is never renamed. The three in capitals are phases of the control
    plane (``status_events.phase``).
    """

    STARTING = "starting"
    """The service begins; with its version and pid."""
    CONFIGURATION = "configuration"
    """The settings in effect, without secrets."""
    CONFIGURATION_BROKEN = "configuration broken"
    """It can't be used as it is now; the service goes on by the one before."""
    RESTART_NEEDED = "restart needed"
    """What was changed in the configuration and takes effect at the next start; with the keys."""
    UNPROTECTED = "unprotected"
    """Nobody is configured as a sender, so everybody on this machine is one."""
    LISTENING = "listening"
    """An address takes connections from now on."""
    READY = "ready"
    """Every part is up."""
    STOPPING = "stopping"
    """No new mail is taken; what is under way is brought to its end."""
    STOPPED = "stopped"
    """The last line of an orderly end."""
    MAIL = "mail"
    """The one line per mail: verdict, ids, sender, size, how long each step took."""
    SPEC_RECEIVED = "SPEC_RECEIVED"
    PLANNING = "PLANNING"
    FAILED = "FAILED"
    READER_BROKE = "reader broke"
    """A reader child died or overran its deadline over a mail, or could not be started."""
    DATABASE_DOWN = "database down"
    DATABASE_UP = "database up"
    DATABASE_MIGRATED = "database migrated"
    """The embedded database was brought to this release's schema."""
    DATABASE_NEWER = "database newer"
    """It has migrations that this release doesn't know, of a newer one."""
    STORAGE_DOWN = "storage down"
    STORAGE_UP = "storage up"
    SMTP_TROUBLE = "smtp trouble"
    """A session broke a limit or the protocol, or was cut off."""
    FEW_FILES = "few files"
    """The system lets us open fewer files than the connections need, so there are fewer of these."""
    DNS_TROUBLE = "dns trouble"
    """Questions had no answer, or there is no server to ask."""
    LOGINS = "logins"
    """The file of logins was read; with how many it holds."""
    LOGINS_BROKEN = "logins broken"
    """The file of logins can't be used as it is now; those read before stay."""
    LOGIN_FAILED = "login failed"
    """Somebody guessed a name and password wrong; with the name, never the password."""
    MAILBOX = "mailbox"
    """A mailbox is in another state: being looked at, waiting for mail, standing by."""
    MAILBOX_TROUBLE = "mailbox trouble"
    """A session with a mail server came to its end; with the state, the reason and when it is tried again."""
    FIRST_CONTACT = "first contact"
    """A folder was never seen before; with what becomes of the mails that are in it already."""
    RENUMBERED = "renumbered"
    """A folder has a new UIDVALIDITY, so all its mails are looked at again."""
    RECONCILED = "reconciled"
    """A folder was held against the register; with the mails that earlier looks had missed."""
    NOT_FILED = "not filed"
    """Mails that are done stay where they are, because the server can't or won't move them."""
    JOB = "job"
    """Something that follows from a mail was done."""
    JOB_FAILED = "job failed"
    """It wasn't; with what it failed of, and the seconds until it is tried again."""
    JOB_LOST = "job lost"
    """It took longer than its lease, and is somebody else's by now."""
    JOB_DEAD = "job dead"
    """It is given up; ``specpost jobs`` has it tried again."""
    CLEANED = "cleaned"
    """What was older than ``[retention]`` says was removed; with how much of which kind."""
    BATCH_FAILED = "batch failed"
    """A transaction of several mails failed; each now gets its own."""
    LIBRARY = "library"
    """What a library had to say through the standard library's logging."""
    INTERNAL_ERROR = "internal error"
    """An exception nobody foresaw; the mail it hit was deferred."""


def configure(log_format: Format = "auto", level: Level = "info", stream: TextIO | None = None) -> None:
    """Send every event, and the libraries' warnings, to ``stream`` (standard error).

    ``auto`` is for people on a terminal and in systemd's journal, and JSON
    elsewhere, one object a line. The journal stamps and ranks lines itself:
    what goes there has its priority in front and no time. May be called again.
    """
    stream = stream or sys.stderr
    rank = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.processors.add_log_level, _bounded, _renderer(log_format, stream)],
        wrapper_class=structlog.make_filtering_bound_logger(rank),
        logger_factory=_Lines(stream),
        cache_logger_on_first_use=False,  # a second configure() holds for loggers already in use
    )
    _take_over_logging(rank)


def _renderer(log_format: Format, stream: TextIO) -> Callable[..., str]:
    terminal = stream.isatty()
    if log_format == "console" or (log_format == "auto" and terminal):
        return _Console(colors=terminal)
    if _is_journal(stream):
        return _journal_line if log_format == "auto" else _journal_json
    return _json_line


def _is_journal(stream: TextIO) -> bool:
    """Whether ``stream`` is the journal's own socket, as ``$JOURNAL_STREAM`` (systemd.exec(5)) tells."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _json_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps({"ts": _now(), **_head(event), **event}).decode()


def _journal_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    head = _head(event)
    return _PRIORITY[head["level"]] + orjson.dumps(head | dict(event)).decode()


_pairs = structlog.processors.LogfmtRenderer(bool_as_flag=False)


def _journal_line(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    head = _head(event)
    told = {key: ",".join(map(str, it)) if isinstance(it, list) else it for key, it in event.items()}
    return f"{_PRIORITY[head['level']]}{head['event']}: {_pairs(logger, method, told)}"


class _Console:
    """The form for people: time of day in UTC, level, event, then the values."""

    def __init__(self, *, colors: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False, pad_event_to=18)

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        return str(self._render(logger, method, {"timestamp": _now(), **event}))


def _now() -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _head(event: MutableMapping[str, Any]) -> dict[str, str]:
    return {"level": event.pop("level"), "event": event.pop("event")}


def _bounded(_logger: object, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """Every value cut and escaped, and an exception told in one field, ``error``."""
    raised = event.pop("exc_info", None)
    safe = {key: _safe(value) for key, value in event.items()}
    if error := _raised(raised):
        safe["error"] = printable(redact(_told(error)), _ERROR)
    return safe


def _safe(value: object, depth: int = 0) -> object:
    """``value`` as bounded JSON."""
    if isinstance(value, str):  # by far the most, and mostly fit to be logged as they are
        return value if _is_fit(value) else printable(redact(value), _TEXT)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _DEPTH and isinstance(value, dict):
        return _safe_mapping(value, depth)
    if depth < _DEPTH and isinstance(value, list | tuple | set | frozenset):
        return _safe_items(value, len(value), depth)
    return printable(redact(_text(value)), _TEXT)


def _is_fit(text: str) -> bool:
    return len(text) <= _TEXT and text.isascii() and text.isprintable() and redact(text) is text


def _text(value: object) -> str:
    """``value`` as text; bytes only by their number, for they may be somebody's mail."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return str(value)


def _safe_items(values: Iterable[object], count: int, depth: int) -> list[object]:
    kept = [_safe(value, depth + 1) for value, _ in zip(values, range(_ITEMS), strict=False)]
    return kept if count <= _ITEMS else [*kept, f"… {count - _ITEMS} more"]


def _safe_mapping(values: Mapping[object, object], depth: int) -> dict[str, object]:
    pairs = zip(values.items(), range(_ITEMS), strict=False)
    kept = {printable(str(key), _TEXT): _safe(value, depth + 1) for (key, value), _ in pairs}
    return kept if len(values) <= _ITEMS else kept | {"…": f"{len(values) - _ITEMS} more"}


def _raised(exc_info: object) -> BaseException | None:
    """The exception that a call's ``exc_info`` means, in each of the forms logging knows."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    if isinstance(exc_info, BaseException):
        return exc_info
    return sys.exception() if exc_info else None


def _told(error: BaseException) -> str:
    """``ValueError: text (intake.py:12 commit > pool.py:3 get), from OSError: text``."""
    frames = " > ".join(_frames(error.__traceback__)[-_FRAMES:])
    where = f" ({frames})" if frames else ""
    cause = error.__cause__
    because = f", from {type(cause).__name__}: {cause}" if cause else ""
    return f"{type(error).__name__}: {str(error)[:_TEXT]}{where}{because}"


def _frames(traceback: TracebackType | None) -> list[str]:
    """Read off the frames alone: no source file is opened while something is already wrong."""
    told = []
    while traceback:
        code = traceback.tb_frame.f_code
        told.append(f"{os.path.basename(code.co_filename)}:{traceback.tb_lineno} {code.co_name}")  # noqa: PTH119
        traceback = traceback.tb_next
    return told


class _Lines:
    """Whole lines on a stream, from any thread; losing a line is never a reason to lose a mail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, *_args: object) -> _Lines:
        """The logger that structlog asks its factory for: one for all."""
        return self

    def line(self, text: str) -> None:
        """Write ``text`` at once; a reader that is gone (a closed pipe or terminal) is no error of ours."""
        with self._lock:
            try:
                self._stream.write(text + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                return

    debug = info = warning = error = critical = line


class _Bridge(logging.Handler):
    """Carries the records of the standard library's logging over to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log ``record`` as Event.LIBRARY, under the logger it came from."""
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001  # a library's wrong format string must not stop a mail
            text = str(record.msg)
        say = (
            structlog.get_logger().error
            if record.levelno >= logging.ERROR
            else structlog.get_logger().warning
        )
        say(Event.LIBRARY, logger=record.name, message=text, exc_info=record.exc_info)


def _take_over_logging(rank: int) -> None:
    """The bridge becomes the root's only handler, for warnings and worse: what libraries chat is theirs."""
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(max(rank, logging.WARNING))
    logging.captureWarnings(capture=True)
