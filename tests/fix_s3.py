"""A real S3 API on loopback: moto, behind a gate that checks what moto doesn't, and that can play trouble."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from daemon.storage.objects import Bucket, ObjectStorage
from tests import sigv4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    #: What comes instead of the server's own answer: a status, headers and a body.
    Answer = tuple[str, list[tuple[str, str]], bytes]

BUCKET, PREFIX, REGION = "specifications", "made/here/", "eu-west-3"
KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def refusal(status: str, code: str, more: str = "") -> Answer:
    """An error as S3 words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message>{more}</Error>"
    return status, [("Content-Type", "application/xml")], body.encode()


@dataclass
class Gate:
    """Lets signed requests through to ``behind``, but for those that ``trouble`` has an answer to."""

    behind: WSGIApplication
    requests: list[sigv4.Request] = field(default_factory=list)
    trouble: Callable[[sigv4.Request], Answer | None] = lambda _: None
    spoil: Callable[[bytes], bytes] = lambda body: body
    """What becomes of a request's body on its way."""

    def heal(self) -> None:
        """Serve as a sound server does, and forget what was asked."""
        self.requests.clear()
        self.trouble, self.spoil = lambda _: None, lambda body: body

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        body = self.spoil(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        names = {name[5:].replace("_", "-").lower(): name for name in environ if name.startswith("HTTP_")}
        headers = {name: environ[variable] for name, variable in names.items()}
        headers |= {
            name: environ[variable]
            for name, variable in (("content-type", "CONTENT_TYPE"), ("content-length", "CONTENT_LENGTH"))
            if variable in environ
        }
        request = sigv4.Request(environ["REQUEST_METHOD"], environ["REQUEST_URI"], headers, body)
        self.requests.append(request)
        try:
            sigv4.check(request, {KEY_ID: SECRET}, REGION)
            answer = self.trouble(request)
        except sigv4.RefusedError as wrong:
            answer = refusal(wrong.status, wrong.code, wrong.more)
        if answer:
            status, fields, text = answer
            length = [] if any(name == "Content-Length" for name, _ in fields) else [str(len(text))]
            start(status, [*fields, *(("Content-Length", each) for each in length)])
            return [text]
        return self.behind(environ | {"wsgi.input": io.BytesIO(body)}, start)


@dataclass
class S3:
    """The server, and what others are told of it."""

    host: str
    port: int
    gate: Gate
    backend: Any
    """What the server has: moto's own object."""

    def bucket(self, **changes: Any) -> Bucket:
        """What a storage is told of it."""
        usual = {
            "name": BUCKET,
            "prefix": PREFIX,
            "endpoint": self.endpoint,
            "region": REGION,
            "access_key_id": KEY_ID,
            "secret_access_key": SECRET,
        }
        return Bucket(**(usual | changes))

    def storage(self, **changes: Any) -> ObjectStorage:
        """A storage in it, or one that is configured a little otherwise."""
        return ObjectStorage(self.bucket(**changes))

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://{self.host}:{self.port}"

    def variables(self, **changes: str) -> dict[str, str]:
        """What configures a daemon for it."""
        usual = {
            "url": f"s3://{BUCKET}/{PREFIX}",
            "endpoint": self.endpoint,
            "region": REGION,
            "access_key_id": KEY_ID,
            "secret_access_key": SECRET,
        }
        return {f"SPECPOST_STORAGE__{key.upper()}": value for key, value in (usual | changes).items()}


@contextmanager
def served() -> Iterator[S3]:
    """A server without buckets."""
    from moto.backends import get_backend  # noqa: PLC0415 - it costs half a second, to these tests alone
    from moto.server import create_backend_app  # noqa: PLC0415
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits 40 ms behind its headers

        def log(self, *_: Any) -> None:
            """Say nothing."""

    gate = Gate(create_backend_app("s3"))
    server = make_server("127.0.0.1", 0, gate, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield S3("127.0.0.1", server.port, gate, get_backend("s3")["123456789012"]["aws"])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """One for all tests of a process: it takes its time to start."""
    with served() as running:
        yield running


@pytest.fixture
def s3(s3_server: S3) -> S3:
    """The server, sound and with an empty bucket."""
    s3_server.backend.reset()
    s3_server.backend.create_bucket(BUCKET, REGION)
    s3_server.gate.heal()
    return s3_server
