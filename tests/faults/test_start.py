"""The configuration is wrong when the service starts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.fix_daemon import specpost
from tests.fix_signers import _openssl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_database import Database

SECRET = "s3cret-s3cret"

#: What is configured, with ``{at}`` for a folder; what is said of which line; and what mends it.
WRONG = {
    "a misspelt key": (
        '[smtp]\nrecipient = "a@example.net"',
        2,
        "smtp.recipient: unknown key",
        "smtp.recipients",
    ),
    "a wrong type": ('[smtp]\nmax_size = "big"', 2, 'smtp.max_size: given "big"', '"25 MiB"'),
    "no TOML": ("[smtp]\nlisten =\n", 2, "bad TOML", ""),
    "no table": ('smtp = "x"', 1, "smtp: given no table", "[smtp]"),
    "half a certificate": ('[smtp]\ntls_cert = "{at}/one.pem"', 1, "smtp: tls_cert and tls_key", "together"),
    "no certificate": (
        '[smtp]\ntls_key = "{at}/one.key"\ntls_cert = "{at}/no.pem"',
        3,
        "smtp.tls_cert: given",
        "no such file",
    ),
    "another key's certificate": (
        '[smtp]\ntls_cert = "{at}/one.pem"\ntls_key = "{at}/two.key"',
        0,
        "[smtp] tls_cert {at}/one.pem and tls_key {at}/two.key can't be used",
        "its own key",
    ),
    "storage in a file": (
        '[storage]\nurl = "file:{at}/file/x"',
        0,
        "[storage] url {at}/file/x",
        "Not a directory",
    ),
    "a state in a file": ('state_dir = "{at}/file/x"', 0, "state_dir {at}/file/x", "Not a directory"),
    "a door for strangers": (
        '[smtp]\nlisten = "0.0.0.0:2525"',
        2,
        "smtp.listen: on smtp://0.0.0.0:2525 mail may come from strangers",
        "add [senders.example] with from",
    ),
    "one port twice": (
        '[smtp]\nlisten = ["127.0.0.1:2525", "[::1]:2525", "127.0.0.1:2525"]',
        2,
        "smtp.listen: 127.0.0.1:2525 can't be listened on twice",
        "leave one out",
    ),
    "no door": ("[smtp]\nlisten = []", 2, "smtp.listen: [] turns SMTP off", "name an address"),
    "no logins": ('[smtp]\nlogins_file = "{at}/no"', 2, "smtp.logins_file: given", "specpost login add"),
    "a proof of logins without any": (
        '[senders.a]\nfrom = "*@example.org"\nrepos = "a/*"\nproof = "smtp-auth"',
        4,
        'senders.a.proof: "smtp-auth" needs [smtp] logins_file',
        "specpost login add",
    ),
    "no URL of a database": (
        f'[database]\nurl = "postgres:me:{SECRET}@h"',
        2,
        "database.url: given a value (not shown",
        "postgresql://",
    ),
    "a URL of a database that can't be read": (
        f'[database]\nurl = "postgresql://me:{SECRET}@h/x?sslmood=1"',
        0,
        "[database] url: no PostgreSQL URL",
        "postgresql://user:password@host:port/database",
    ),
    "a password that breaks its URL": (
        f'[database]\nurl = "postgresql://me:{SECRET}/@h/x"',
        0,
        "[database] url: in a PostgreSQL URL",
        "percent-encoded",
    ),
    "half a key": (
        f'[storage]\nurl = "s3://b"\nsecret_access_key = "{SECRET}"',
        1,
        "storage: access_key_id and secret_access_key",
        "together",
    ),
    "no key": (
        f'[oauth]\nkey = "{SECRET}"',
        2,
        "oauth.key: given a value (not shown",
        "openssl rand -base64 32",
    ),
    "a name for a server of names": (
        '[dns]\nservers = "ns.example.net"',
        2,
        "dns.servers: given",
        '"192.0.2.53"',
    ),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate, its key and another's, and a file where a folder could be."""
    at = tmp_path_factory.mktemp("files")
    for name in ("one", "two"):
        (at / f"{name}.key").write_bytes(_openssl("genrsa", "2048"))
    (at / "one.pem").write_bytes(
        _openssl("req", "-new", "-x509", "-subj", "/CN=x", "-key", str(at / "one.key"))
    )
    (at / "file").touch()
    return at


@pytest.mark.faults
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_configuration(wrong: str, files: Path, database: Database, tmp_path: Path) -> None:
    """A wrong configuration ends the start, and is told by key, place and what mends it, with no secret."""
    text, line, said, mended = (
        each.replace("{at}", str(files)) if isinstance(each, str) else each for each in WRONG[wrong]
    )
    path = tmp_path / "specpost.toml"
    path.write_text(text)
    env = {"SPECPOST_CONFIG": str(path)}
    env |= {} if "state_dir" in text else {"SPECPOST_STATE_DIR": str(tmp_path / "state")}
    env |= {} if "database" in text else {"SPECPOST_DATABASE__URL": database.url}
    started = specpost("run", env=env | {"SPECPOST_LOG__FORMAT": "json"})

    (told,) = [each for each in started.stderr.splitlines() if not each.startswith("{")]
    place = rf"{re.escape(str(path))}:{line}:(\d+:)? " if line else ""
    assert started.returncode == 78
    assert re.match(rf"specpost: {place}{re.escape(said)}", told), told
    assert mended in told
    assert SECRET not in started.stderr
