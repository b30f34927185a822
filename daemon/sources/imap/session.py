r"""A session with a mail server: entered, with one folder selected. The only importer of imapclient.

Nothing here changes a mail but MOVE and what stands in for it; \\Seen is never
set (BODY.PEEK) and never read. Every command ends in time, or the session does.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imapclient import DELETED, IMAPClient, SocketTimeout

from daemon.credentials import Bearer, ConsentError
from daemon.sources.imap.trouble import (
    AFTER_REFUSAL,
    Declined,
    LoginRefused,
    Misunderstood,
    NoConsent,
    Trouble,
    Unreachable,
    Untrusted,
    of_command,
    of_login,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from daemon.credentials import Password
    from daemon.sources.imap.account import Account

#: Seconds to connect, and without a byte from the server.
CONNECT, READ = 20.0, 60.0
#: Seconds a command may take in all, however steadily its answer drips.
COMMAND = 300.0
#: Of an access token's life, after which a session begins anew with another.
TOKEN_LIFE = 0.8
#: Octets that are fetched of a mail at once.
PIECE = 1 << 20
#: Mails whose UIDs are asked for at once: a line of imaplib's holds a million octets.
LISTED = 20_000


@dataclass(frozen=True, slots=True)
class Selected:
    """A folder as it was selected."""

    uidvalidity: int
    uidnext: int
    exists: int


@dataclass(frozen=True, slots=True)
class Glance:
    """What is looked at before a mail is fetched: its octets as the server counts them, and when it came."""

    size: int
    received_at: datetime


class Session:
    """One connection that is logged in; any method raises Trouble, and then the session is over.

    ``due`` is when the command that goes on must be over, in monotonic
    seconds; whoever finds it overstayed calls ``abort``.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._client: Any = None
        self._imap: Any = None
        self.due = self.token_until = float("inf")
        self.capabilities: set[str] = set()
        self._namespace: tuple[str, str] | None = None

    def open(self) -> None:
        """Connect and log in."""
        credential = self._credential()
        self._connect()
        self._enter(credential)
        with self._speaking("capability"):
            self.capabilities = {name.decode() for name in self._client.capabilities()}

    def select(self, folder: str, *, readonly: bool = False) -> Selected:
        r"""Select ``folder``, as the server names it; ``readonly`` leaves even \Recent alone (EXAMINE)."""
        with self._speaking(f"select {folder}"):
            said = self._client.select_folder(folder, readonly)
            if b"UIDVALIDITY" not in said:
                raise Misunderstood(f"{folder} has no UIDVALIDITY, so nothing can be remembered of it")
            exists = int(said.get(b"EXISTS", 0))
            return Selected(int(said[b"UIDVALIDITY"]), self._uidnext(said, exists), exists)

    def _uidnext(self, said: Mapping[bytes, Any], exists: int) -> int:
        """UIDNEXT, which older servers don't tell: then one above the last mail's UID."""
        if b"UIDNEXT" in said:
            return int(said[b"UIDNEXT"])
        return max(self._client.search(["UID", "*"]), default=0) + 1 if exists else 1

    def all_uids(self, exists: int) -> list[int]:
        """The UIDs of the first ``exists`` mails, ascending; asked for by their positions, in pieces."""
        uids: set[int] = set()
        for low in range(1, exists + 1, LISTED):
            with self._speaking("search"):
                uids.update(self._client.search([f"{low}:{min(low + LISTED - 1, exists)}"]))
        return sorted(uids)

    def uids_from(self, low: int) -> list[int]:
        """The UIDs from ``low`` on, ascending; the server names its last mail in any case."""
        with self._speaking("search"):
            return sorted(uid for uid in self._client.search(["UID", f"{low}:*"]) if uid >= low)

    def glance(self, uids: Sequence[int]) -> dict[int, Glance]:
        """Size and date of each mail that is still there."""
        with self._speaking("fetch of sizes"):
            said = self._client.fetch(uids, ["RFC822.SIZE", "INTERNALDATE"])
        return {
            uid: Glance(int(each.get(b"RFC822.SIZE", 0)), _date(each.get(b"INTERNALDATE")))
            for uid, each in said.items()
        }

    def fetch(self, uids: Sequence[int], at_most: int) -> dict[int, bytes]:
        """The octets of each mail that is still there, whole, or the first that are more than ``at_most``.

        In pieces, because a literal is as long as the server says. None of a
        mail's octets, NIL or nothing at all, are b"": the caller must not
        take them for a mail.
        """
        mails = self._pieces(uids, 0)
        unfinished = [uid for uid, piece in mails.items() if len(piece) == PIECE]
        for uid in unfinished:
            pieces = [mails.pop(uid)]
            while len(pieces[-1]) == PIECE and len(pieces) * PIECE <= at_most:
                pieces.append(self._pieces([uid], len(pieces) * PIECE).get(uid, b""))
            mails[uid] = b"".join(pieces)
        return mails

    def _pieces(self, uids: Sequence[int], start: int) -> dict[int, bytes]:
        with self._speaking("fetch"):
            said = self._client.fetch(uids, [f"BODY.PEEK[]<{start}.{PIECE}>"])
        key = f"BODY[]<{start}>".encode()
        return {uid: bytes(each[key] or b"") for uid, each in said.items() if key in each}

    def move(self, uids: Sequence[int], folder: str) -> bool:
        """Move mails; False when the server can't without touching others' (RFC 6851, RFC 4315)."""
        if "MOVE" in self.capabilities:
            with self._speaking(f"move to {folder}"):
                self._client.move(uids, folder)
            return True
        if "UIDPLUS" not in self.capabilities:
            return False
        with self._speaking(f"copy to {folder}"):
            self._client.copy(uids, folder)
            self._client.add_flags(uids, [DELETED], silent=True)
            self._client.uid_expunge(uids)
        return True

    def find(self, folder: str) -> str:
        """The server's name for a folder of the configuration, in which ``/`` stands between levels.

        As it is written if there is one of that name, else in the namespace
        of the user's own folders (RFC 2342), with the server's separator.
        """
        if folder.upper() == "INBOX":
            return "INBOX"
        with self._speaking("list"):
            if self._client.list_folders("", folder):
                return folder
        self._namespace = self._namespace or self._personal()
        prefix, separator = self._namespace
        name = folder.replace("/", separator or "/")
        return name if name.startswith(prefix) else prefix + name

    def make(self, folder: str) -> None:
        """Make a folder if it is missing, and let people see it."""
        with self._speaking("list"):
            if self._client.list_folders("", folder):
                return
        with self._speaking(f"create {folder}"):
            self._client.create_folder(folder)
        with suppress(Declined), self._speaking(f"subscribe {folder}"):
            self._client.subscribe_folder(folder)

    def folders(self) -> list[str]:
        """The names of all folders there are."""
        with self._speaking("list"):
            return [str(name) for _, _, name in self._client.list_folders()]

    def wait(self, seconds: float, wake: int) -> None:
        """Wait until the server has something to say, the descriptor ``wake`` can be read, or in vain.

        By IDLE (RFC 2177) where there is one. What arrived before it began is
        said when it begins; what the server says is left to the next search.
        """
        if "IDLE" not in self.capabilities:
            self.due = time.monotonic() + seconds + COMMAND
            _readable([wake], seconds)
            return self.ping()
        with self._speaking("idle"):
            tag = self._begin_idle()
            self.due = time.monotonic() + seconds + COMMAND
            if not self._has_more():
                _readable([self._client.socket().fileno(), wake], seconds)
            self.due = time.monotonic() + COMMAND
            self._imap.send(b"DONE\r\n")
            self._imap._command_complete("IDLE", tag)  # noqa: SLF001 - as below
        return None

    def ping(self) -> None:
        """Ask for nothing, and learn what is new (NOOP)."""
        with self._speaking("noop"):
            self._client.noop()

    def abort(self) -> None:
        """End the connection from another thread: who waits for it gets Trouble."""
        if self._client is not None:
            with suppress(OSError):
                self._client.socket().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take leave, in a second or not at all."""
        self.due = time.monotonic() + COMMAND
        with suppress(Exception):  # the connection may be in any state
            self._client.socket().settimeout(1.0)
            self._client.logout()
        with suppress(Exception):
            self._client.shutdown()

    def _begin_idle(self) -> Any:  # noqa: ANN401 - imaplib's tag
        """Begin to IDLE; imapclient's own fails when the server has news before it answers."""
        tag = self._imap._command("IDLE")  # noqa: SLF001 - imaplib has no IDLE of its own before 3.14
        while self._imap._get_response() is not None:  # noqa: SLF001
            if self._imap.tagged_commands[tag]:
                raise Declined(f"IDLE: {self._imap.tagged_commands[tag]}")
        return tag

    def _has_more(self) -> bool:
        """Whether something was read off the wire already, and would never wake who waits for more."""
        sock = self._client.socket()
        sock.settimeout(0.0)
        try:
            return bool(self._imap.file.peek(1))
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            sock.settimeout(READ)

    def _personal(self) -> tuple[str, str]:
        """Prefix and separator of the user's own folders."""
        with self._speaking("namespace"):
            if "NAMESPACE" in self.capabilities and (spaces := self._client.namespace().personal):
                prefix, separator = spaces[0]
                return str(prefix), str(separator or "")
            listed = self._client.list_folders("", "")
        return "", (listed[0][1] or b"").decode() if listed else "/"

    def _credential(self) -> Password | Bearer:
        try:
            return self._account.credentials()
        except ConsentError as error:
            raise NoConsent(str(error), AFTER_REFUSAL) from None
        except OSError as error:
            raise Unreachable(f"no token: {error}") from None

    def _connect(self) -> None:
        account = self._account
        context = account.context or ssl.create_default_context()
        with self._speaking("connect"):
            self._client = IMAPClient(
                account.host,
                account.port,
                ssl=account.tls == "implicit",
                ssl_context=context,
                timeout=SocketTimeout(CONNECT, READ),
            )
        self._client.normalise_times = False
        self._imap = self._client._imap  # noqa: SLF001 - for what imapclient doesn't do by itself
        self._imap.debug = 0  # else each line is formatted for a log that nobody reads
        if account.tls == "starttls":
            self._start_tls(context)

    def _start_tls(self, context: ssl.SSLContext) -> None:
        with self._speaking("starttls"):
            if not self._client.has_capability("STARTTLS"):
                raise Untrusted("the server offers no STARTTLS")
            self._client.starttls(context)

    def _enter(self, credential: Password | Bearer) -> None:
        self.due = time.monotonic() + COMMAND
        try:
            if isinstance(credential, Bearer):
                self.token_until = time.monotonic() + TOKEN_LIFE * credential.seconds
                self._enter_by_token(credential.token)
            elif self._client.has_capability("AUTH=PLAIN"):
                self._client.plain_login(self._account.user, credential.text)
            else:
                self._client.login(self._account.user, credential.text)
        except UnicodeError:
            raise LoginRefused("the server takes only ASCII in a name and password", AFTER_REFUSAL) from None
        except Exception as error:  # noqa: BLE001 - imapclient's, imaplib's, the socket's; it may hold a secret
            raise of_login(error, self._client) from None
        finally:
            self.due = float("inf")

    def _enter_by_token(self, token: str) -> None:
        """By OAUTHBEARER (RFC 7628) or XOAUTH2; a complaint comes as a challenge and is acknowledged."""
        user, bearer = self._account.user, f"auth=Bearer {token}\1\1"
        if self._client.has_capability("AUTH=OAUTHBEARER"):
            quoted = user.replace("=", "=3D").replace(",", "=2C")
            words = iter([f"n,a={quoted},\1{bearer}"])
            self._client.sasl_login("OAUTHBEARER", lambda _: next(words, "\1"))
        else:
            words = iter([f"user={user}\1{bearer}"])
            self._client.sasl_login("XOAUTH2", lambda _: next(words, ""))

    @contextmanager
    def _speaking(self, command: str) -> Iterator[None]:
        """One command: it ends in time, and whatever it raises is Trouble."""
        self.due = time.monotonic() + COMMAND
        try:
            yield
        except Trouble:
            raise
        except Exception as error:
            raise of_command(error, command, self._client) from error
        finally:
            self.due = float("inf")


def _date(said: object) -> datetime:
    """INTERNALDATE, or now where the server's makes no sense."""
    return said.astimezone(UTC) if isinstance(said, datetime) and said.tzinfo else datetime.now(UTC)


def _readable(descriptors: Sequence[int], seconds: float) -> None:
    waiting = select.poll()
    for descriptor in descriptors:
        waiting.register(descriptor, select.POLLIN)
    waiting.poll(seconds * 1000)
