"""An IMAP server that misbehaves on cue; by itself it is a small, honest one, whose mails are in memory.

What real servers do only on their worst days is written into a script:
``Script("UID FETCH", bye_in_literal)`` is the first FETCH that ends in the
middle of a mail, and ``nth`` and ``times`` tell which other it may be.
"""

from __future__ import annotations

import base64
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Act = Callable[["Session", "Command"], None]
    Work = Callable[["Session", "Command"], str]
    Body = Callable[["Mail", str, bytes], bytes]

#: Seconds a test waits for what takes a few milliseconds, on a machine that has other work too.
PATIENCE = 60

#: What it says it can; what it doesn't say, it can't.
CAPABILITIES = (
    "IMAP4rev1",
    "SASL-IR",
    "LITERAL+",
    "AUTH=PLAIN",
    "AUTH=XOAUTH2",
    "AUTH=OAUTHBEARER",
    "NAMESPACE",
    "IDLE",
    "UIDPLUS",
    "UNSELECT",
    "MOVE",
)

#: The commands that a server has only with a capability.
NEEDED = {"NAMESPACE": "NAMESPACE", "IDLE": "IDLE", "UNSELECT": "UNSELECT", "UID MOVE": "MOVE"} | {
    "UID EXPUNGE": "UIDPLUS"
}

#: The UIDs of all mails.
EVERYTHING = range(1 << 32)

_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n$")
_TOKEN = re.compile(rb' *(?:"((?:[^"\\]|\\.)*)"|\{(\d+)\+?\}\r\n|(\([^)]*\)|[^ "]+))')
_BODY = re.compile(r"(RFC822|BODY(?:\.PEEK)?\[\])(?:<(\d+)\.(\d+)>)?", re.IGNORECASE)


@dataclass
class Mail:
    """A mail in a folder."""

    uid: int
    raw: bytes
    when: datetime
    flags: set[str] = field(default_factory=set)


@dataclass
class Folder:
    """Mails in the order of their UIDs."""

    mails: list[Mail] = field(default_factory=list)
    uidvalidity: int = 1
    uidnext: int = 1

    def add(self, raw: bytes, when: datetime | None = None, flags: Iterable[str] = ()) -> Mail:
        """One more mail."""
        mail = Mail(self.uidnext, raw, when or datetime.now(UTC), set(flags))
        self.uidnext += 1
        self.mails.append(mail)
        return mail

    def among(self, uids: str) -> list[Mail]:
        """The mails of a set such as ``1:3,7,9:*``; ``*`` is the last one, in whatever order the range is."""
        last = max((mail.uid for mail in self.mails), default=0)
        ranges = []
        for part in uids.split(","):
            ends = [last if end == "*" else int(end) for end in part.split(":")]
            ranges.append(range(min(ends), max(ends) + 1))
        return [mail for mail in self.mails if any(mail.uid in part for part in ranges)]


class Command(NamedTuple):
    """What a client said, when (time.monotonic()), and on which connection, counted from 1."""

    tag: str
    name: str
    args: list[str]
    line: str
    when: float
    connection: int


class Attempt(NamedTuple):
    """A login as it was tried; ``secret`` is the password, or the token."""

    how: str
    user: str
    secret: str
    when: float


@dataclass
class Script:
    """What becomes of the ``nth`` command that ``pattern`` is found in, and the ``times`` - 1 after it.

    The greeting is a command too: ``GREETING``.
    """

    pattern: str
    act: Act
    nth: int = 1
    times: int = 1
    seen: int = 0

    def is_due(self, line: str) -> bool:
        """Whether it is this command's turn."""
        if not re.search(self.pattern, line):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


class Refused(Exception):  # noqa: N818 - no error of ours
    """An honest NO or BAD, as it is said."""


class HungUp(Exception):  # noqa: N818 - no error, but the end
    """The connection has ended."""


@dataclass
class ScriptedImap:
    """The server, with all it has and all it heard."""

    scripts: list[Script]
    capabilities: tuple[str, ...]
    prefix: str
    separator: str
    tls: ssl.SSLContext | None
    user: str = "ana"
    password: str = "secret"
    token: str = "token"
    folders: dict[str, Folder] = field(default_factory=lambda: {"INBOX": Folder()})
    commands: list[Command] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    subscribed: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)
    closed: threading.Event = field(default_factory=threading.Event)
    _heard: threading.Condition = field(default_factory=threading.Condition)
    _sessions: list[Session] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def host(self) -> str:
        """Where it listens."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self._sessions)

    def append(
        self, raw: bytes, folder: str = "INBOX", when: datetime | None = None, flags: Iterable[str] = ()
    ) -> int:
        """A mail comes in, and those who idle there are told; its UID."""
        with self.lock:
            mail = self.folders[folder].add(raw, when, flags)
        self.announce()
        return mail.uid

    def remove(self, uid: int, folder: str = "INBOX") -> None:
        """Somebody else takes a mail away, and those who idle there are told."""
        with self.lock:
            there = self.folders[folder]
            there.mails = [mail for mail in there.mails if mail.uid != uid]
        self.announce()

    def count(self, folder: str = "INBOX") -> int:
        """How many mails there are; none where there is no such folder."""
        with self.lock:
            return len(self.folders[folder].mails) if folder in self.folders else 0

    def mails(self, folder: str = "INBOX") -> list[bytes]:
        """All mails."""
        with self.lock:
            return [mail.raw for mail in self.folders[folder].mails]

    def change_uidvalidity(self, folder: str = "INBOX") -> None:
        """Number the mails anew, from 1 on, under another UIDVALIDITY."""
        with self.lock:
            old = self.folders[folder]
            self.folders[folder] = Folder(uidvalidity=old.uidvalidity + 1)
            for mail in old.mails:
                self.folders[folder].add(mail.raw, mail.when, mail.flags)

    def script(self, pattern: str, act: Act, nth: int = 1, times: int = 1) -> None:
        """One more Script, which counts from now on."""
        with self.lock:
            self.scripts.append(Script(pattern, act, nth, times))

    def sent(self, pattern: str) -> list[Command]:
        """The commands so far that ``pattern`` is found in."""
        with self._heard:
            return [command for command in self.commands if re.search(pattern, command.line)]

    def await_command(self, pattern: str, times: int = 1, timeout: float = PATIENCE) -> list[Command]:
        """The commands that ``pattern`` is found in, once there are ``times`` of them."""
        with self._heard:
            self._heard.wait_for(lambda: len(self.sent(pattern)) >= times, timeout)
            found = self.sent(pattern)
        assert len(found) >= times, [f"{len(found)} of {pattern} among:", *(c.line for c in self.commands)]
        return found

    def record(self, command: Command) -> None:
        """A client said this."""
        with self._heard:
            self.commands.append(command)
            self._heard.notify_all()

    def act(self, line: str) -> Act | None:
        """What the script wants for a command; all count what they see, the first that is due decides."""
        with self.lock:
            return next((script.act for script in [s for s in self.scripts if s.is_due(line)]), None)

    def announce(self) -> None:
        """Tell those who idle what is new."""
        with self.lock:
            for session in self._sessions:
                if session.idles:
                    session.sync()
                    with suppress(OSError):  # it may have gone
                        session.flush()

    def hang_up(self) -> None:
        """End all connections, without a word; new ones are served."""
        for session in list(self._sessions):
            session.cut()

    def start(self) -> None:
        """Take connections from now on."""
        self._run(self._accept)

    def close(self) -> None:
        """End all, and those too who stall."""
        self.closed.set()
        with socket.create_connection((self.host, self.port)):
            self._threads[0].join(PATIENCE)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self.closed.is_set():
                return client.close()
            with self.lock:
                session = Session(self, client, len(self._sessions) + 1)
                self._sessions.append(session)
            self._run(session.run)

    def _run(self, work: Callable[[], None]) -> None:
        self._threads.append(
            threading.Thread(target=work, daemon=True)
        )  # if hung it fails a test, and no more
        self._threads[-1].start()


class Session:
    """One connection; an Act may have it say anything, or do as it is told."""

    def __init__(self, server: ScriptedImap, client: socket.socket, number: int) -> None:
        self.server = server
        self.number = number
        self.user = ""
        self.folder = ""
        self.readonly = False
        self.idles = False
        self._client = client
        self._view: list[int] = []  # the UIDs as the client numbers them
        self._out: list[bytes] = []

    def run(self) -> None:
        """Serve the client to the end."""
        try:
            with suppress(HungUp, OSError):
                if self.server.tls:
                    self._client = self.server.tls.wrap_socket(self._client, server_side=True)
                with self._client.makefile("rb") as self._file:
                    self._converse()
        finally:
            self.idles = False
            self._client.close()

    def obey(self, command: Command, work: Work | None = None) -> None:
        """Do what an honest server does, or ``work``; what it returns is the last line."""
        try:
            self._check(command)
            text = self._done(command, work or CONVERSATIONS.get(command.name) or WORK[command.name])
        except Refused as refused:
            text = str(refused)
        except (IndexError, ValueError):
            text = "BAD syntax"
        self.say(f"{command.tag} {text}")

    def say(self, text: str | bytes) -> None:
        """A line that the client gets with the next flush()."""
        self._out.append((text.encode() if isinstance(text, str) else text) + b"\r\n")

    def flush(self) -> None:
        """Send what was said."""
        self._client.sendall(self.unsaid())

    def unsaid(self) -> bytes:
        """What was said since the last flush(), which is forgotten."""
        said = b"".join(self._out)
        self._out.clear()
        return said

    def cut(self) -> None:
        """End the connection."""
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def sync(self) -> None:
        """Say what has become of the mails of the selected folder."""
        now = [mail.uid for mail in self._mails()]
        for uid in [uid for uid in self._view if uid not in now]:
            self.say(f"* {self._view.index(uid) + 1} EXPUNGE")
            self._view.remove(uid)
        if len(now) > len(self._view):
            self.say(f"* {len(now)} EXISTS")
        self._view = now

    def attempt(self, command: Command) -> Attempt:
        """Whom the client says it is, by LOGIN or AUTHENTICATE."""
        if command.name == "LOGIN":
            tried = Attempt("LOGIN", command.args[0], command.args[1], time.monotonic())
        else:
            how = command.args[0].upper()
            tried = Attempt(how, *_credentials(how, self._response(command)), time.monotonic())
        with self.server.lock:
            self.server.attempts.append(tried)
        return tried

    def fetch(self, command: Command, body: Body | None = None, skip: Iterable[int] = ()) -> str:
        """Say what is asked of mails, but those to ``skip``; ``body`` says how."""
        for mail in self._there.among(command.args[0]):
            if mail.uid not in skip:
                asked = [self._item(mail, item, body or in_a_literal) for item in _fetched(command)]
                number = self._view.index(mail.uid) + 1
                self.say(b"* %d FETCH (%b)" % (number, b" ".join(filter(None, asked))))
        return "OK done"

    def idle(self, _command: Command, *, deaf: bool = False) -> str:
        """Tell what is new, until the client is done; if ``deaf`` there is nothing new."""
        self.say("+ idling")
        with self.server.lock:
            if not deaf:
                self.sync()
            self.flush()
            self.idles = not deaf
        line = self._line()
        with self.server.lock:
            self.idles = False
            self.sync()
        return "OK done" if line.strip().upper() == b"DONE" else "BAD not DONE"

    def _converse(self) -> None:
        command: Command | None = Command("*", "GREETING", [], "GREETING", time.monotonic(), self.number)
        while command:
            act = self.server.act(command.line) or Session.obey
            act(self, command)
            self.flush()
            command = None if command.name == "LOGOUT" else self._next()

    def _next(self) -> Command:
        data = line = self._line()
        while literal := _LITERAL.search(line):
            if not literal[2]:
                self.say("+ go on")
                self.flush()
            data += self._file.read(int(literal[1]))
            line = self._line()
            data += line
        command = _parsed(data, self.number)
        self.server.record(command)
        return command

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise HungUp
        return line

    def _done(self, command: Command, work: Work) -> str:
        if command.name in CONVERSATIONS:
            return work(self, command)
        with self.server.lock:
            if command.name in WITH_A_FOLDER:
                self.sync()
            text = work(self, command)
            self.sync()
        return text

    def _check(self, command: Command) -> None:
        """Refuse what is not known, or not now."""
        known = command.name in WORK or command.name in CONVERSATIONS
        if not known or NEEDED.get(command.name, "IMAP4rev1") not in self.server.capabilities:
            raise Refused(f"BAD no such command: {command.name}")
        if not self.user and command.name not in BEFORE_LOGIN:
            raise Refused("BAD log in first")
        if not self.folder and command.name in WITH_A_FOLDER:
            raise Refused("BAD select a folder first")

    def _find(self, name: str, code: str = "NONEXISTENT") -> tuple[str, Folder]:
        name = "INBOX" if name.upper() == "INBOX" else name
        if name not in self.server.folders:
            raise Refused(f"NO [{code}] there is no {name}")
        return name, self.server.folders[name]

    @property
    def _there(self) -> Folder:
        return self.server.folders[self.folder]

    def _mails(self) -> list[Mail]:
        return self._there.mails if self.folder in self.server.folders else []

    def _response(self, command: Command) -> bytes:
        """The initial response, in the command or after it."""
        if len(command.args) > 1:
            text = command.args[1].encode()
        else:
            self.say("+ ")
            self.flush()
            text = self._line().strip()
        if text == b"*":
            raise Refused("BAD cancelled")
        return base64.b64decode(text, validate=True)

    def _greet(self, _command: Command) -> str:
        return f"OK [CAPABILITY {' '.join(self.server.capabilities)}] ready"

    def _capability(self, _command: Command) -> str:
        self.say(f"* CAPABILITY {' '.join(self.server.capabilities)}")
        return "OK done"

    def _log_in(self, command: Command) -> str:
        server = self.server
        if command.name == "AUTHENTICATE" and f"AUTH={command.args[0].upper()}" not in server.capabilities:
            return "NO no such mechanism"
        tried = self.attempt(command)
        secret = server.password if tried.how in {"LOGIN", "PLAIN"} else server.token
        if (tried.user, tried.secret) == (server.user, secret):
            self.user = tried.user
            return f"OK [CAPABILITY {' '.join(server.capabilities)}] welcome"
        if secret == server.token:
            self.say(b"+ " + base64.b64encode(b'{"status":"401","schemes":"bearer"}'))
            self.flush()
            self._line()
        return "NO [AUTHENTICATIONFAILED] nobody we know"

    def _log_out(self, _command: Command) -> str:
        self.say("* BYE farewell")
        self.folder = ""
        return "OK done"

    def _nothing(self, _command: Command) -> str:
        return "OK done"

    def _namespace(self, _command: Command) -> str:
        self.say(f'* NAMESPACE (("{self.server.prefix}" "{self.server.separator}")) NIL NIL')
        return "OK done"

    def _list(self, command: Command) -> str:
        kinds = {"*": ".*", "%": f"[^{re.escape(self.server.separator)}]*"}
        pattern = "".join(kinds.get(part) or re.escape(part) for part in "".join(command.args[:2]))
        for name in sorted(self.server.folders):
            if re.fullmatch(pattern, name):
                self.say(f'* LIST (\\HasNoChildren) "{self.server.separator}" {_quoted(name)}')
        return "OK done"

    def _create(self, command: Command) -> str:
        (name,) = command.args
        if name in self.server.folders:
            return f"NO [ALREADYEXISTS] there is {name}"
        if not name.startswith(self.server.prefix):
            return f"NO [CANNOT] {name} is in no namespace"
        self.server.folders[name] = Folder()
        return "OK done"

    def _subscribe(self, command: Command) -> str:
        self.server.subscribed.add(self._find(command.args[0])[0])
        return "OK done"

    def _select(self, command: Command) -> str:
        self.folder, self._view = "", []
        self.folder, folder = self._find(command.args[0])
        self.readonly = command.name == "EXAMINE"
        self._view = [mail.uid for mail in folder.mails]
        for line in (
            "FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
            f"{len(folder.mails)} EXISTS",
            "0 RECENT",
            "OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] these are kept",
            f"OK [UIDVALIDITY {folder.uidvalidity}] valid",
            f"OK [UIDNEXT {folder.uidnext}] next",
        ):
            self.say(f"* {line}")
        return f"OK [{'READ-ONLY' if self.readonly else 'READ-WRITE'}] selected"

    def _status(self, command: Command) -> str:
        name, folder = self._find(command.args[0])
        values = {
            "MESSAGES": len(folder.mails),
            "RECENT": 0,
            "UIDNEXT": folder.uidnext,
            "UIDVALIDITY": folder.uidvalidity,
            "UNSEEN": sum("\\Seen" not in mail.flags for mail in folder.mails),
        }
        asked = [item for item in command.args[1].upper().strip("()").split() if item in values]
        told = " ".join(f"{item} {values[item]}" for item in asked)
        self.say(f"* STATUS {_quoted(name)} ({told})")
        return "OK done"

    def _search(self, command: Command) -> str:
        found, criteria = self._mails(), [arg.upper() for arg in command.args]
        while criteria:
            match criteria.pop(0):
                case "ALL":
                    pass
                case "UNDELETED":
                    found = [mail for mail in found if "\\Deleted" not in mail.flags]
                case "UID":
                    among = {mail.uid for mail in self._there.among(criteria.pop(0))}
                    found = [mail for mail in found if mail.uid in among]
                case positions if re.fullmatch(r"\d+:\d+", positions):
                    first, last = map(int, positions.split(":"))
                    among = {mail.uid for mail in self._there.mails[first - 1 : last]}
                    found = [mail for mail in found if mail.uid in among]
                case other:
                    raise Refused(f"BAD no such criterion: {other}")
        self.say(" ".join(["* SEARCH", *(str(mail.uid) for mail in found)]))
        return "OK done"

    def _item(self, mail: Mail, item: str, body: Body) -> bytes:
        match item.upper():
            case "UID":
                return b"UID %d" % mail.uid
            case "RFC822.SIZE":
                return b"RFC822.SIZE %d" % len(mail.raw)
            case "INTERNALDATE":
                return f'INTERNALDATE "{mail.when:%d-%b-%Y %H:%M:%S %z}"'.encode()
            case "FLAGS":
                return f"FLAGS ({' '.join(sorted(mail.flags))})".encode()
            case _:
                return self._body(mail, item, body)

    def _body(self, mail: Mail, item: str, body: Body) -> bytes:
        match = _BODY.fullmatch(item)
        if not match:
            raise Refused(f"BAD no such item: {item}")
        label = match[1].upper().replace(".PEEK", "")
        if "PEEK" not in match[1].upper() and not self.readonly:
            mail.flags.add("\\Seen")
        if match[2] is None:
            return body(mail, label, mail.raw)
        start = int(match[2])
        return body(mail, f"{label}<{start}>", mail.raw[start : start + int(match[3])])

    def _store(self, command: Command) -> str:
        uids, item, given = command.args[0], command.args[1].upper(), set(command.args[2].strip("()").split())
        self._must_write()
        for mail in self._there.among(uids):
            kept = {"+": mail.flags | given, "-": mail.flags - given}
            mail.flags = kept.get(item[0], given)
            if not item.endswith(".SILENT"):
                self.say(
                    b"* %d FETCH (UID %d %b)"
                    % (self._view.index(mail.uid) + 1, mail.uid, self._item(mail, "FLAGS", in_a_literal))
                )
        return "OK done"

    def _copy(self, command: Command) -> str:
        _, into = self._find(command.args[1], "TRYCREATE")
        mails = self._there.among(command.args[0])
        added = [into.add(mail.raw, mail.when, mail.flags) for mail in mails]
        if not mails or "UIDPLUS" not in self.server.capabilities:
            return "OK done"
        old, new = (",".join(str(mail.uid) for mail in some) for some in (mails, added))
        return f"OK [COPYUID {into.uidvalidity} {old} {new}] done"

    def _move(self, command: Command) -> str:
        self._must_write()
        moved = self._there.among(command.args[0])
        self.say(f"* {self._copy(command)}")
        self._there.mails = [mail for mail in self._there.mails if mail not in moved]
        return "OK done"

    def _expunge(self, command: Command) -> str:
        """All that is deleted; of a set of UIDs, if there is one."""
        if command.name == "CLOSE" and self.readonly:
            return self._unselect(command)
        self._must_write()
        among = self._there.among(command.args[0] if command.args else "1:*")
        gone = [mail for mail in among if "\\Deleted" in mail.flags]
        self._there.mails = [mail for mail in self._there.mails if mail not in gone]
        return self._unselect(command) if command.name == "CLOSE" else "OK done"

    def _unselect(self, _command: Command) -> str:
        self.folder, self._view = "", []
        return "OK done"

    def _must_write(self) -> None:
        if self.readonly:
            raise Refused("NO [CANNOT] opened read-only")


#: What goes on while the client is asked again, or waits.
CONVERSATIONS: dict[str, Work] = {
    "LOGIN": Session._log_in,
    "AUTHENTICATE": Session._log_in,
    "IDLE": Session.idle,
}
WORK: dict[str, Work] = {
    "GREETING": Session._greet,
    "CAPABILITY": Session._capability,
    "LOGOUT": Session._log_out,
    "NOOP": Session._nothing,
    "CHECK": Session._nothing,
    "NAMESPACE": Session._namespace,
    "LIST": Session._list,
    "CREATE": Session._create,
    "SUBSCRIBE": Session._subscribe,
    "STATUS": Session._status,
    "SELECT": Session._select,
    "EXAMINE": Session._select,
    "UNSELECT": Session._unselect,
    "CLOSE": Session._expunge,
    "EXPUNGE": Session._expunge,
    "UID EXPUNGE": Session._expunge,
    "UID SEARCH": Session._search,
    "UID FETCH": Session.fetch,
    "UID STORE": Session._store,
    "UID COPY": Session._copy,
    "UID MOVE": Session._move,
}
BEFORE_LOGIN = {"GREETING", "CAPABILITY", "LOGOUT", "NOOP", "LOGIN", "AUTHENTICATE"}
WITH_A_FOLDER = {"CHECK", "CLOSE", "EXPUNGE", "UNSELECT", *(name for name in WORK if name.startswith("UID "))}


def in_a_literal(_mail: Mail, label: str, data: bytes) -> bytes:
    """A body as it is said honestly."""
    return b"%b {%d}\r\n%b" % (label.encode(), len(data), data)


def hangs_up(_session: Session, _command: Command) -> None:
    """Close the connection instead."""
    raise HungUp


def hangs_up_after(session: Session, command: Command) -> None:
    """Do as told, and close the connection without saying so."""
    session.obey(command)
    session.unsaid()
    raise HungUp


def stalls(session: Session, _command: Command) -> None:
    """Say nothing, for ever."""
    session.server.closed.wait()
    raise HungUp


def bye_in_literal(session: Session, command: Command) -> None:
    """Break off in the middle of the first literal, with a BYE, and close."""
    session.obey(command)
    said = session.unsaid()
    literal = re.search(rb"\{(\d+)\}\r\n", said)
    assert literal, said
    session.say(said[: literal.end() + int(literal[1]) // 2])
    session.say("* BYE going down")
    session.flush()
    raise HungUp


def garbage(session: Session, command: Command) -> None:
    """Say what is no IMAP, and then do as told."""
    session.say(b'* \x00\xff ]} {("')
    session.obey(command)


def deaf(session: Session, command: Command) -> None:
    """Idle, and never tell what comes in meanwhile."""
    session.obey(command, lambda _, its: session.idle(its, deaf=True))


def says_bye(text: str) -> Act:
    """Say BYE instead, and close."""

    def act(session: Session, _command: Command) -> None:
        session.say(f"* BYE {text}")
        session.flush()
        raise HungUp

    return act


def says_no(text: str) -> Act:
    """Say NO, and do nothing; ``text`` may begin with a code such as ``[LIMIT]``. A login is heard first."""
    return _refuses(f"NO {text}")


def says_bad(text: str) -> Act:
    """As says_no, with BAD."""
    return _refuses(f"BAD {text}")


def vanished(*uids: int) -> Act:
    """Say nothing of the mails with these UIDs, or of any; all else is as asked."""
    return _instead(lambda session, command: session.fetch(command, skip=uids or EVERYTHING))


def without_body(*uids: int) -> Act:
    """Leave out the bodies of the mails with these UIDs, or all."""
    return _bodies(uids, lambda _label: "")


def nil_body(*uids: int) -> Act:
    """Say NIL for the bodies of the mails with these UIDs, or for all."""
    return _bodies(uids, lambda label: f"{label} NIL")


def empty_body(*uids: int) -> Act:
    """Say "" for the bodies of the mails with these UIDs, or for all."""
    return _bodies(uids, lambda label: f'{label} ""')


def _instead(work: Work) -> Act:
    return lambda session, command: session.obey(command, work)


def _refuses(text: str) -> Act:
    def refused(session: Session, command: Command) -> str:
        if command.name in {"LOGIN", "AUTHENTICATE"}:
            session.attempt(command)
        return text

    return _instead(refused)


def _bodies(uids: Sequence[int], body: Callable[[str], str]) -> Act:
    def chosen(mail: Mail, label: str, data: bytes) -> bytes:
        meant = not uids or mail.uid in uids
        return body(label).encode() if meant else in_a_literal(mail, label, data)

    return _instead(lambda session, command: session.fetch(command, chosen))


def _fetched(command: Command) -> list[str]:
    """What is asked of each mail; its UID, even if not asked for (RFC 3501, 6.4.8)."""
    items = command.args[1].strip("()").split()
    return items if "UID" in items else ["UID", *items]


def _parsed(data: bytes, connection: int) -> Command:
    """A command with its literals, which stay in its line as they are."""
    tag, _, rest = data.removesuffix(b"\r\n").partition(b" ")
    args, at = [], 0
    while match := _TOKEN.match(rest, at):
        at = match.end()
        if match[2]:
            args.append(rest[at : at + int(match[2])])
            at += int(match[2])
        else:
            args.append(match[3] if match[1] is None else re.sub(rb"\\(.)", rb"\1", match[1]))
    words = [arg.decode(errors="surrogateescape") for arg in args]
    length = 2 if words and words[0].upper() == "UID" else 1
    name = " ".join(words[:length]).upper()
    line = rest.decode(errors="surrogateescape")
    return Command(tag.decode(), name, words[length:], line, time.monotonic(), connection)


def _credentials(how: str, response: bytes) -> tuple[str, str]:
    """The user, and the password or token (RFC 4616, RFC 7628, and Google's XOAUTH2)."""
    text = response.decode()
    if how == "PLAIN":
        _, user, password = text.split("\0")
        return user, password
    name = re.search(r"(?:^user|,a)=([^,\x01]*)", text)
    token = re.search(r"\x01auth=Bearer ([^\x01]*)\x01", text)
    if not name or not token:
        raise Refused("BAD no such response")
    return name[1], token[1]


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


@contextmanager
def scripted_imap(
    *scripts: Script,
    capabilities: Iterable[str] = CAPABILITIES,
    hidden: Iterable[str] = (),
    prefix: str = "",
    separator: str = "/",
    tls: ssl.SSLContext | None = None,
) -> Iterator[ScriptedImap]:
    """A server that is up, with an empty INBOX; the first Script that is due decides."""
    told = tuple(name for name in capabilities if name not in hidden)
    server = ScriptedImap(list(scripts), told, prefix, separator, tls)
    server.start()
    try:
        yield server
    finally:
        server.close()
