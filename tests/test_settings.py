"""The settings say what is in effect, or in one line each what is wrong and where."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from daemon.settings import Settings, SettingsError, Smtp, describe, given, load, table
from daemon.settings.dns import Server
from daemon.settings.listen import Listen
from daemon.sources.limits import Limits
from tests.fix_settings import is_told, refusal

if TYPE_CHECKING:
    from tests.fix_settings import Credentials, Toml

pytestmark = pytest.mark.usefixtures("no_standard_file")

MIB = 1024**2


def test_nothing_given_is_a_whole_configuration() -> None:
    """Without file, variables and credentials the embedded defaults hold."""
    settings = load(None, {"STATE_DIRECTORY": "/var/lib/specpost"})

    assert settings.database.url == "embedded"
    assert settings.storage.path == Path("/var/lib/specpost/storage")
    assert settings.smtp.listen is None
    assert settings.smtp.max_size == 25 * MIB
    assert settings.planning.default_dod.model_dump(exclude_none=True) == {
        "coverage_min": 0.8,
        "e2e_pass": True,
        "lighthouse_min": 85,
    }


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"STATE_DIRECTORY": "/a:/b", "XDG_STATE_HOME": "/x"}, "/a"),
        ({"XDG_STATE_HOME": "/x"}, "/x/specpost"),
        ({}, "~/.local/state/specpost"),
    ],
)
def test_state_lies_where_systemd_or_the_desktop_says(environ: dict[str, str], folder: str) -> None:
    """The state directory is systemd's, else XDG's, else the usual place at home."""
    assert load(None, environ).state_dir == Path(folder).expanduser()


def test_credential_goes_over_variable_goes_over_file(toml: Toml, credentials: Credentials) -> None:
    """The closer a value is to this very start, the more it counts; a credential's line end does not."""
    path = toml('[database]\nurl = "postgresql://file/"\n[smtp]\nerrors = 3\nmax_size = "1 MiB"')
    environ = credentials(database__url="postgresql://credential/\n") | {
        "SPECPOST_DATABASE__URL": "postgresql://variable/",
        "SPECPOST_SMTP__ERRORS": "4",
    }

    settings = load(path, environ)

    assert settings.database.url == "postgresql://credential/"
    assert settings.smtp.errors == 4
    assert settings.smtp.max_size == MIB


def test_the_file_is_the_named_one_else_the_variables_else_the_standard_one(
    toml: Toml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--config goes before $SPECPOST_CONFIG, and that before /etc."""
    places = {}
    for number, name in enumerate(["option", "variable", "standard"], 1):
        places[name] = tmp_path / f"{name}.toml"
        places[name].write_text(f"[smtp]\nerrors = {number}")
    monkeypatch.setattr(given, "STANDARD", places["standard"])
    variable = {"SPECPOST_CONFIG": str(places["variable"])}

    found = [load(places["option"], variable), load(None, variable), load(None, {})]

    assert [settings.smtp.errors for settings in found] == [1, 2, 3]


def test_tables_in_tables_and_lists_come_from_variables_too() -> None:
    """A deeper table takes more ``__``; a list is commas or a TOML array."""
    settings = load(
        None,
        {
            "SPECPOST_PLANNING__DEFAULT_DOD__COVERAGE_MIN": "0.9",
            "SPECPOST_PLANNING__DEFAULT_DOD__LINT_PASS": "true",
            "SPECPOST_SMTP__RECIPIENTS": '["a@example.org", "b@example.org"]',
            "SPECPOST_SMTP__LISTEN": "[::1]:8025, localhost:0",
            "SPECPOST_READERS__PROCESSES": "3",
        },
    )

    dod = settings.planning.default_dod
    assert (dod.coverage_min, dod.lint_pass, dod.lighthouse_min) == (0.9, True, 85)
    assert settings.smtp.recipients == ("a@example.org", "b@example.org")
    assert settings.smtp.listen == (Listen("smtp", "::1", 8025), Listen("smtp", "localhost", 0))
    assert settings.readers.processes == 3


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ('"25 MiB"', 25 * MIB),
        ('"1.5MiB"', 3 * MIB // 2),
        ('"30 MB"', 30_000_000),
        ('"64 kib"', 65536),
        ("2048", 2048),
        ('"2048 B"', 2048),
    ],
)
def test_sizes_have_units(toml: Toml, text: str, size: int) -> None:
    """KiB counts in 1024s and KB in 1000s; a bare number is bytes."""
    assert load(toml(f"[smtp]\nmax_size = {text}"), {}).smtp.max_size == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [('"300 s"', 300), ('"5 min"', 300), ('"1 h"', 3600), ("2.5", 2.5), ('"1500 ms"', 1.5)],
)
def test_durations_have_units(toml: Toml, text: str, seconds: float) -> None:
    """A bare number is seconds."""
    assert load(toml(f"[smtp]\ncommand_timeout = {text}"), {}).smtp.command_timeout == seconds


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:mails", "/state/mails"),
        ("file:/srv/mails", "/srv/mails"),
        ("file:///srv/caf%C3%A9 1", "/srv/café 1"),
        ("file://localhost/srv", "/srv"),
    ],
)
def test_storage_is_a_folder_of_this_machine(toml: Toml, url: str, path: str) -> None:
    """A relative path is under the state directory, whatever the working directory is."""
    settings = load(toml(f'state_dir = "/state"\n[storage]\nurl = "{url}"'), {})

    assert settings.storage.path == Path(path)


def test_a_folder_with_a_percent_sign_is_that_folder(toml: Toml) -> None:
    """Only what the URL says is decoded, not the state directory it is put under."""
    assert load(toml('state_dir = "/st%20ate"'), {}).storage.path == Path("/st%20ate/storage")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('[smtp]\nlistne = "x"', 2, "smtp.listne: unknown key; did you mean smtp.listen?"),
        ("[smpt]\nerrors = 3", 2, "smpt.errors: unknown key; did you mean smtp.errors?"),
        ("\nmax_size = 3", 2, "max_size: unknown key; did you mean smtp.max_size?"),
        ('[log]\nqqq = "x"', 2, "log.qqq: unknown key; allowed in [log]: format, level"),
        ("[planning.default_dod]\ncoverage = 1", 2, "did you mean planning.default_dod.coverage_min?"),
        ("[planning.default_dod]\ncoverage_min = 80", 2, "given 80; allowed: a number, 0 to 1"),
        ("[planning.default_dod]\ncoverage_min = true", 2, "given true; allowed: a number, 0 to 1"),
        ("[planning.default_dod]\ne2e_pass = 1", 2, "given 1; allowed: true or false"),
        ('[smtp]\n\nmax_size = "lots"', 3, 'given "lots"; allowed: a size, 1 KiB to 1 GiB'),
        ("[smtp]\nmax_size = 10", 2, "given 10; allowed: a size, 1 KiB to 1 GiB"),
        ("[smtp]\nsession_timeout = inf", 2, "allowed: a duration, 1 s to 24 h"),
        ("[smtp]\nsession_timeout = nan", 2, "allowed: a duration, 1 s to 24 h"),
        ("[readers]\nprocesses = true", 2, "given true; allowed: a whole number, 1 to 64"),
        ("[readers]\nprocesses = 65", 2, "given 65; allowed: a whole number, 1 to 64"),
        ('[log]\nlevel = "loud"', 2, 'given "loud"; allowed: "debug" or "info" or "warning" or "error"'),
        (r'"\u001b[2J\n" = 1', 1, r": \x1b[2J\n: unknown key"),
        ("smtp = 3", 1, "given no table; allowed: a table, [smtp]"),
        ("state_dir = 3", 1, "given 3; allowed: a path"),
        ('[storage]\nurl = "file://elsewhere/x"', 2, "allowed: a folder"),
        ('[smtp]\nlisten = [\n  "127.0.0.1:1",\n  "submission://:587",\n]', 2, "'submission://:587'"),
        ('[smtp]\nlisten = "imap://127.0.0.1:143"', 2, "imap:// is not in this release"),
        ('[smtp]\nlisten = "smtp:///run/mail"', 2, "on a UNIX socket we speak LMTP: write lmtp:///run/mail"),
        ('[smtp]\nlisten = "127.0.0.1"', 2, "allowed: HOST:PORT"),
        ('[smtp]\nlisten = "127.0.0.1:65536"', 2, "allowed: HOST:PORT"),
        ('[smtp]\nlisten = ["[::1]:1", "[::1]:2", "[::1]:1"]', 2, "[::1]:1 can't be listened on twice"),
        ('[smtp]\nlisten = ["[::1]:1", "lmtp://[::1]:1"]', 2, "[::1]:1 can't be listened on twice"),
        ('[smtp]\nrecipients = ["nobody"]', 2, "'nobody'"),
        ('[smtp]\nrecipients = "a+tag@example.org"', 2, "addresses without a tag"),
        ('[smtp]\nhostname = "a b"', 2, 'given "a b"; allowed: a host name'),
        ('[smtp]\ntls_cert = "/no/such/file"', 2, "(no such file); allowed: the path of a file that can be"),
        ('[smtp]\nrelays = ["10.0.0.5/8"]', 2, "write 10.0.0.0/8 for the network, or 10.0.0.5 for the one"),
        ('[smtp]\nrelays = ["mail.example.org"]', 2, "'mail.example.org'); allowed: IP addresses, networks"),
        ('[smtp]\nrelays = ["::/0"]', 2, "'::/0': that is everybody"),
        ('[smtp]\nauthserv_id = "mx.example.org"', 2, "(it needs relays"),
        ('[smtp]\nauthserv_id = "a b"\nrelays = "unix"', 2, 'given "a b"; allowed: a host name'),
        ('[smtp]\nlogins_file = "/etc/passwd"', 2, "(it needs tls_cert and tls_key"),
        ('[smtp]\nlogins_file = "/no/such/file"', 2, "(specpost login add NAME --from ADDRESS --file PATH"),
        ('[smtp]\nrecipients = ["*@example.net"]', 2, "given"),
        ("[smtp]\nsender_rate = 0", 2, "given 0; allowed: a whole number, 1 to 1000000"),
        ("[smtp]\nhandshake_timeout = 0", 2, "given 0; allowed: a duration, 1 s to 5 min"),
        ('[smtp]\nbytes_in_flight = "1 KiB"', 2, "allowed: a size, 1 MiB to 64 GiB"),
        ('[dns]\nservers = "ns.example.org"', 2, "'ns.example.org': not an IP address"),
        ('[dns]\nservers = ["192.0.2.53:65536"]', 2, "'192.0.2.53:65536': there is no port 65536"),
        ('[dns]\nservers = ["192.0.2.53:0"]', 2, "'192.0.2.53:0': there is no port 0"),
        ('[dns]\nservers = ["[::1:53"]', 2, "'[::1:53': not an IP address"),
        ('[dns]\ntimeout = "2 min"', 2, "allowed: a duration, 0.1 s to 1 min"),
        ('[dns]\nserver = "::1"', 2, "dns.server: unknown key; did you mean dns.servers?"),
        ('[routing]\nrepo = "name"', 2, 'allowed: a GitHub repository, "owner/name"'),
        ('[routing]\nbranch = "a..b"', 2, "allowed: a branch name that git takes"),
        ('a.b = 1\n[smtp]\nerrors = """\nx"""\n', 3, 'given "x"'),
        ("smtp = {\\nerrors = 1", 1, "bad TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_that_names_the_place(
    toml: Toml, text: str, line: int, says: str
) -> None:
    """File, line, key, what was given and what is allowed: enough to mend it without the manual."""
    assert is_told(toml(text), line, says)


def test_a_key_that_wrong_toml_hides_is_named_by_line_and_column(toml: Toml) -> None:
    """TOML that is none names the place, as compilers do."""
    path = toml("[smtp]\nerrors = = 3")

    assert refusal(path) == f"{path}:2:10: bad TOML: Invalid value"


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    """A configuration that can't be read is never taken for an empty one."""
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# a\n# caf\xe9\n")

    assert refusal(path) == f"{path}:2: not UTF-8"
    assert refusal(tmp_path).startswith(f"{tmp_path}: Is a directory; --config or $SPECPOST_CONFIG")
    assert "nowhere: No such file" in refusal(CREDENTIALS_DIRECTORY=str(tmp_path / "nowhere"))
    assert refusal(tmp_path / "none").startswith(f"{tmp_path / 'none'}: No such file or directory; --config")


def test_unknown_variables_are_refused_and_ours_that_are_no_settings_are_not(toml: Toml) -> None:
    """A misspelt variable would else do nothing in silence."""
    ours = {
        "SPECPOST_OWNER_URL": "x",
        "SPECPOST_ALL_PARTS": "1",
        "SPECPOST_CONFIG": str(toml("")),
        "OTHER": "x",
    }

    assert load(None, ours)
    assert (
        refusal(SPECPOST_SMTP__MAXSIZE="1")
        == "$SPECPOST_SMTP__MAXSIZE: smtp.maxsize: unknown key; did you mean smtp.max_size?"
    )
    assert "allowed: a table" in refusal(SPECPOST_SMTP="1", SPECPOST_SMTP__ERRORS="3")


def test_unknown_credentials_are_refused_when_they_can_only_be_ours(credentials: Credentials) -> None:
    """Other services' credentials may lie beside ours."""
    environ = credentials(token="x", database__urll="postgresql://a:secret@b/")

    message = refusal(None, **environ)

    assert message == "credential database__urll: database.urll: unknown key; did you mean database.url?"


@pytest.mark.parametrize(
    "name", ["SPECPOST_DATABASE__URL", "SPECPOST_DATABASE__LISTEN_URL", "SPECPOST_DATABASE"]
)
def test_a_secret_is_never_repeated(name: str) -> None:
    """Neither the message nor the exceptions behind it hold the value."""
    with pytest.raises(SettingsError) as refused:
        load(None, {name: "mysql://root:geheim@db/"})

    assert f"${name}: database" in str(refused.value)
    assert "geheim" not in str(refused.value)
    assert refused.value.__context__ is None


def test_everything_wrong_is_told_at_once_but_no_more_than_ten_lines(toml: Toml) -> None:
    """One round of mending is enough, and a wholly wrong file still fits a screen."""
    path = toml("[smtp]\n" + "".join(f"a{number} = {number}\n" for number in range(30)))

    lines = refusal(path, SPECPOST_LOG__LEVEL="x\n\x1b[2J").splitlines()

    assert len(lines) == 10
    assert all(line.isprintable() for line in lines)


def test_two_free_ports_are_two(toml: Toml) -> None:
    """Nobody knows which they will be."""
    assert len(load(toml('[smtp]\nlisten = ["[::1]:0", "[::1]:0"]'), {}).smtp.listen or ()) == 2


def test_a_certificate_needs_its_key(toml: Toml, tmp_path: Path) -> None:
    """Half a TLS configuration is a mistake, not plain text."""
    (tmp_path / "a.pem").write_text("x")
    path = toml(f'[log]\n[smtp]\ntls_cert = "{tmp_path}/a.pem"')

    assert refusal(path) == f"{path}:2: smtp: tls_cert and tls_key are given together, or neither"
    assert refusal(SPECPOST_SMTP__TLS_KEY=f"{tmp_path}/a.pem").startswith("$SPECPOST_SMTP__TLS_KEY: smtp: ")


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", Server("192.0.2.53", 53)),
        ("127.0.0.1:5353", Server("127.0.0.1", 5353)),
        ("::1", Server("::1")),
        ("[::1]", Server("::1")),
        ("[2001:db8::35]:5353", Server("2001:db8::35", 5353)),
    ],
)
def test_a_dns_server_is_an_address_with_or_without_a_port(toml: Toml, text: str, server: Server) -> None:
    """What is shown of it can be written again."""
    settings = load(toml(f'[dns]\nservers = "{text}"'), {})
    (shown,) = describe(settings)["dns"]["servers"]

    assert settings.dns.servers == (server,)
    assert load(toml(f'[dns]\nservers = ["{shown}"]'), {}).dns.servers == (server,)


def test_relays_may_be_exempt_without_being_believed(toml: Toml) -> None:
    """Addresses, networks and UNIX sockets, kept as they are written."""
    relays = ("10.0.0.5", "fd00::/8", "unix")

    settings = load(None, {"SPECPOST_SMTP__RELAYS": ", ".join(relays)})
    believed = load(toml('[smtp]\nrelays = "unix"\nauthserv_id = "mx.example.org"'), {})

    assert settings.smtp.relays == relays
    assert settings.smtp.authserv_id is None
    assert believed.smtp.authserv_id == "mx.example.org"


def test_what_the_manual_says_of_limits_is_what_the_source_has() -> None:
    """A limit's default is written twice, and the two are one."""
    shared = Smtp.model_fields.keys() & {field.name for field in fields(Limits)}

    assert len(shared) >= 11
    for name in shared:
        assert getattr(Smtp(), name) == getattr(Limits(), name), name


def test_what_is_in_effect_is_described_without_passwords() -> None:
    """The description is JSON, in the operator's units, and a password is three stars."""
    environ = {
        "SPECPOST_DATABASE__URL": "postgresql://me:p@ss/word@db/x?sslmode=require",
        "SPECPOST_DATABASE__LISTEN_URL": "postgresql://db/x?user=me&password=geheim&a=b",
        "SPECPOST_SMTP__LISTEN": "[::1]:25",
    }

    shown = describe(load(None, environ))

    assert shown["database"] == {
        "url": "postgresql://me:***@db/x?sslmode=require",
        "listen_url": "postgresql://db/x?user=me&password=***&a=b",
        "cleanup_url": None,
    }
    assert shown["smtp"]["max_size"] == "25 MiB"
    assert shown["smtp"]["listen"] == ["smtp://[::1]:25"]
    assert json.loads(json.dumps(shown)) == shown
    assert "ss/word" not in repr(load(None, environ))


def test_what_is_described_loads_again() -> None:
    """The units that are shown are units that are read."""
    shown = describe(load(None, {"STATE_DIRECTORY": "/state"}))

    assert describe(Settings.model_validate(without_none(shown))) == shown


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: what is None was left out."""
    return {
        key: without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def test_settings_do_not_change() -> None:
    """What was checked at start is what holds."""
    settings = load(None, {})

    with pytest.raises(ValueError, match="frozen"):
        settings.smtp.errors = 1


def test_every_key_is_described() -> None:
    """The manual is made of the descriptions, so each key has one, and an idea of what is allowed."""
    rows = table()

    assert len(rows) == len({key for key, *_ in rows})
    for key, allowed, _, description in rows:
        assert allowed, key
        assert description.endswith("."), key


def test_importing_the_settings_brings_nothing_heavy() -> None:
    """``--help`` and short commands start quickly."""
    code = "import sys, daemon.settings; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    heavy = {"pydantic_settings", "psycopg", "structlog", "asyncio", "aiosmtpd", "mailparser"}
    heavy |= {"dns", "dkim", "argon2", "daemon.trust"}
    assert not heavy & set(modules.split())
