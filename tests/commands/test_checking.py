"""``specpost check`` of a mail: in words, whether its sender may send it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.entitled.letter import letter, signed
from tests.entitled.providers import OUTLOOK, microsofts
from tests.fix_daemon import specpost
from tests.fix_house import SPEC, US

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_dns import DnsServer

CONFIGURATION = f"""\
[smtp]
recipients = ["{US}"]
[dns]
servers = ["{{host}}:{{port}}"]
[senders.example]
from = ["*@example.com"]
repos = ["example/*"]
proof = ["dkim"]
"""


@pytest.fixture
def config(tmp_path: Path, published: DnsServer) -> Path:
    """Who may send, and a name server that knows their keys."""
    file = tmp_path / "specpost.toml"
    host, port = published.address
    file.write_text(CONFIGURATION.format(host=host, port=port))
    return file


def check(config: Path, raw: bytes, *options: str) -> tuple[int, str]:
    """The status, and what is printed first."""
    status, printed = check_all(config, raw, *options)
    return status, printed.splitlines()[0]


def check_all(config: Path, raw: bytes, *options: str) -> tuple[int, str]:
    """The status, and all that is printed."""
    file = config.with_name("mail.eml")
    file.write_bytes(raw)
    done = specpost("check", str(file), "--config", str(config), *options)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_offline_a_signature_is_not_checked(config: Path) -> None:
    """Nothing is asked unless the operator says so; the words name what would be."""
    status, words = check(config, signed())

    assert status == 1
    assert words.startswith("verdict  refused: rule example: not proven: dkim: DKIM not checked (offline)")
    assert "--dns looks up rsa2048._domainkey.example.com TXT" in words


def test_with_the_dns_a_genuine_mail_would_be_taken(config: Path) -> None:
    """As it would be if it came now."""
    assert check(config, signed(), "--dns") == (0, "verdict  accepted")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (signed().replace(b"Subject: ", b"Subject: [x] "), "rule example: not proven: dkim: d=example.com"),
        (letter(), "rule example: not proven: dkim: no DKIM-Signature"),
        (letter(From="ana@evil.example"), "no rule of [senders] is for ana@evil.example"),
        (letter(From="Ana"), "From is not exactly one plain address: Ana"),
    ],
    ids=["changed", "unsigned", "a stranger", "nobody"],
)
def test_why_a_mail_would_be_refused_is_said_in_words(config: Path, raw: bytes, words: str) -> None:
    """The sender hears one text for all of them; the operator asks here."""
    status, first = check(config, raw, "--dns")

    assert status == 1
    assert first.startswith(f"verdict  refused: {words}")


def test_who_brings_it_can_be_said(config: Path) -> None:
    """Microsoft signs no To, so SPF decides: without a peer the operator hears what is missing."""
    delivered = b"Return-Path: <ana@bounces.example.com>\r\n" + microsofts()

    status, printed = check_all(config, delivered, "--dns")
    assert status == 1
    assert "nobody said who would bring it (--peer ADDRESS)" in printed

    assert check(config, delivered, "--dns", "--peer", OUTLOOK) == (0, "verdict  accepted")


def test_a_specification_by_itself_has_no_sender(config: Path) -> None:
    """Whoever writes one wants to know what it comes to, not who may mail it."""
    file = config.with_name("spec.yaml")
    file.write_text(SPEC)

    done = specpost("check", str(file), "--config", str(config))

    assert done.stdout.startswith("verdict  accepted")
