"""A provider of tokens on loopback: codes, pages and tokens as OAuth 2.0 has them, and its trouble."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from daemon import oauth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 20
SECRET = "client-geheim-12"
DESCRIPTION = "told by the provider"


@dataclass(frozen=True)
class Asked:
    """A request that came in."""

    path: str
    fields: dict[str, str]

    @property
    def is_refresh(self) -> bool:
        """Whether it brought a refresh token."""
        return self.fields.get("grant_type") == "refresh_token"


@dataclass
class Reply:
    """What is answered, octet by octet when it ``drips``, and never when it is ``silent``."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drips: bool = False
    silent: bool = False


def said(status: int, **told: object) -> Reply:
    """An answer in JSON."""
    return Reply(status, json.dumps(told).encode(), {"Content-Type": "application/json"})


def refusal(code: str, status: int = 400, description: str = DESCRIPTION) -> Reply:
    """An error of OAuth's."""
    return said(status, error=code, error_description=description)


class TokenServer:
    """The provider; what is in ``next`` is answered first, whatever was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.next: deque[Reply] = deque()
        self.before: Callable[[Asked], None] = lambda _: None
        """Called for each request, before it is looked at."""
        self.after: Callable[[Asked], None] = lambda _: None
        """Called for each request, before it is answered."""
        self.pending = 0
        """How often a person hasn't consented yet."""
        self.rotates = self.takes_back = True
        """Whether a refresh hands out a new refresh token, and whether the old one is then good no longer."""
        self.gives_refresh_token = True
        self.device: dict[str, Any] = {"verification_uri": "https://provider.example/device", "interval": 1}
        self.good: set[str] = set()
        """The refresh tokens that are good."""
        self.access: set[str] = set()
        """The access tokens handed out."""
        self.ended = threading.Event()
        self._challenges: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self._count = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def provider(self, **changes: Any) -> oauth.Provider:
        """It, as a client knows it."""
        known: dict[str, Any] = {
            "name": "example",
            "client_id": "our-client",
            "client_secret": SECRET,
            "scope": "mail offline_access",
            "token_url": f"{self.url}/token",
            "device_url": f"{self.url}/device",
            "authorize_url": f"{self.url}/authorize",
        }
        return oauth.Provider(**known | changes)

    def grant(self) -> dict[str, Any]:
        """New tokens."""
        self._count += 1
        access, refresh = f"access-{self._count}", f"refresh-{self._count}"
        self.access.add(access)
        self.good.add(refresh)
        return {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": 3599,
        }

    def consent(self, page: str) -> str:
        """What a person does on ``page``; the address to which their browser is then sent."""
        query = {key: values[0] for key, values in parse_qs(urlsplit(page).query).items()}
        assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
        code = f"code-{len(self._challenges)}"
        self._challenges[code] = (query["code_challenge"], query["redirect_uri"])
        return f"{query['redirect_uri']}/?{urlencode({'state': query['state'], 'code': code})}"

    def answer(self, asked: Asked) -> Reply:
        """What ``asked`` is answered."""
        self.before(asked)
        with self._lock:
            self.asked.append(asked)
            reply = self.next.popleft() if self.next else self._usual(asked)
        self.after(asked)
        return reply

    def _usual(self, asked: Asked) -> Reply:
        if asked.fields.get("client_secret") != SECRET:
            return refusal("invalid_client", 401)
        if asked.path == "/device":
            return said(
                200, device_code="device-geheim", user_code="ABCD-EFGH", expires_in=900, **self.device
            )
        match asked.fields["grant_type"]:
            case "refresh_token":
                return self._refreshed(asked.fields["refresh_token"])
            case "authorization_code":
                return self._redeemed(asked.fields)
        assert asked.fields["device_code"] == "device-geheim"
        if self.pending:
            self.pending -= 1
            return refusal("authorization_pending")
        return self._granted()

    def _granted(self) -> Reply:
        granted = self.grant()
        if not self.gives_refresh_token:
            del granted["refresh_token"]
        return said(200, **granted)

    def _refreshed(self, token: str) -> Reply:
        if token not in self.good:
            return refusal("invalid_grant")
        granted = self.grant()
        if not self.rotates:
            self.good.remove(granted.pop("refresh_token"))
        elif self.takes_back:
            self.good.remove(token)
        return said(200, **granted)

    def _redeemed(self, fields: dict[str, str]) -> Reply:
        challenge, redirect_uri = self._challenges.pop(fields["code"], ("", ""))
        digest = base64.urlsafe_b64encode(hashlib.sha256(fields["code_verifier"].encode()).digest())
        if digest.decode().rstrip("=") != challenge or fields["redirect_uri"] != redirect_uri:
            return refusal("invalid_grant")
        return self._granted()


def _handler(server: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fields = {key: values[0] for key, values in parse_qs(body, strict_parsing=True).items()}
            reply = server.answer(Asked(self.path, fields))
            if reply.silent:
                server.ended.wait(PATIENCE)
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            try:
                if not reply.drips:
                    self.wfile.write(reply.body)
                for octet in reply.body if reply.drips else b"":
                    self.wfile.write(bytes([octet]))
                    time.sleep(0.01)  # as long as it is listened to
            except ConnectionError:
                self.close_connection = True

        def log_message(self, *_args: object) -> None:
            pass

    return Handler


@pytest.fixture
def token_server() -> Iterator[TokenServer]:
    """A provider of the test's own."""
    server = TokenServer()
    yield server
    server.close()
