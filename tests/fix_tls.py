"""A certificate of this machine's own, for those who serve and those who trust it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.parts import need

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost and its key, in one file."""
    need(shutil.which("openssl"), "apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    parts = [folder / "key.pem", folder / "cert.pem"]
    subprocess.run(
        [*made.split(), *names, "-keyout", parts[0], "-out", parts[1]], check=True, capture_output=True
    )
    path = folder / "both.pem"
    path.write_text("".join(part.read_text() for part in parts))
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """The server's side."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    """The side of a client that trusts only this certificate."""
    return ssl.create_default_context(cafile=certificate)
