"""The files of an installation: systemd takes them, and they fit the daemon."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from daemon.settings import describe, load, table
from tests.parts import need

FOLDER = Path(__file__).parent.parent / "systemd"
EXAMPLE = FOLDER / "specpost.toml.example"
SERVICE = FOLDER / "specpost.service"

APT = "apt-get install systemd"


pytestmark = pytest.mark.usefixtures("no_standard_file")


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units, with a command that exists in place of the installed one, which verify asks for."""
    cleanup = [FOLDER / "specpost-cleanup.service", FOLDER / "specpost-cleanup.timer"]
    for unit in (SERVICE, FOLDER / "specpost.socket", *cleanup):
        text = unit.read_text().replace("/opt/specpost/bin/specpost", shutil.which("true") or "")
        (tmp_path / unit.name).write_text(text)
    return [
        str(tmp_path / unit) for unit in ("specpost.service", "specpost.socket", *(u.name for u in cleanup))
    ]


def output(*command: str) -> str:
    """What ``command`` says on both streams; it must succeed."""
    need(shutil.which(command[0]), APT)
    run = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert run.returncode == 0, run.stdout
    return run.stdout


def values(key: str) -> list[str]:
    """What the service's unit gives for ``key``."""
    return re.findall(rf"^{key}=(.*)$", SERVICE.read_text(), flags=re.MULTILINE)


def test_the_units_are_as_systemd_wants_them(units: list[str]) -> None:
    """No misspelt or misplaced line: systemd would ignore it with a warning."""
    assert output("systemd-analyze", "verify", "--man=no", *units) == ""


def test_the_services_are_locked_in(units: list[str]) -> None:
    """By systemd's own count each exposes 1.6 of 10 at most."""
    for unit in (unit for unit in units if unit.endswith(".service")):
        told = output("systemd-analyze", "security", "--offline=true", "--no-pager", unit)

        (level,) = re.findall(r"Overall exposure level for specpost[-a-z]*.service: ([0-9.]+)", told)
        assert float(level) <= 1.6, unit


def test_readers_may_still_bound_themselves(units: list[str]) -> None:
    """The filter takes @resources away; setrlimit(2) works by prlimit64, which is granted by @default."""
    told = output("systemd-analyze", "syscall-filter", "--no-pager", "@default")

    assert values("SystemCallFilter")[0] == "@system-service"
    assert "prlimit64" in told.split()


def test_the_daemon_runs_as_a_user_that_exists_and_may_write_one_folder() -> None:
    """The unit, the users and the folders speak of the same name."""
    assert values("User") == values("Group") == values("StateDirectory") == ["specpost"]
    assert values("RuntimeDirectory") == ["specpost"]
    assert "u specpost " in (FOLDER / "specpost.sysusers").read_text()
    assert values("RestartPreventExitStatus") == ["78"]


def test_what_the_unit_hands_over_is_known_to_the_settings(tmp_path: Path) -> None:
    """Each credential is a key, the state directory is taken, and the example starts as it is."""
    for credential in values("LoadCredential"):
        (tmp_path / credential.partition(":")[0]).write_text("postgresql://specpost:geheim@db/postgres\n")

    settings = load(EXAMPLE, {"CREDENTIALS_DIRECTORY": str(tmp_path), "STATE_DIRECTORY": "/var/lib/specpost"})

    assert settings.database.url == "postgresql://specpost:geheim@db/postgres"
    assert settings.state_dir == Path("/var/lib/specpost")
    assert not values("Environment")


def test_the_socket_is_one_that_the_daemon_takes() -> None:
    """A stream on loopback, accepted by the daemon itself."""
    unit = (FOLDER / "specpost.socket").read_text()

    assert re.findall(r"^Listen\w+=(.*)$", unit, flags=re.MULTILINE) == ["127.0.0.1:25"]
    assert "Accept=yes" not in unit


def test_the_logins_are_read_again_by_the_signal_the_manual_names() -> None:
    """A reload reaches the daemon alone, not its readers."""
    assert values("ExecReload") == ["kill -HUP $MAINPID"]


def test_users_and_folders_are_made_with_the_secret_for_root_alone(tmp_path: Path) -> None:
    """The daemon reads its configuration and can't change it; the credential it gets only from systemd."""
    need(os.geteuid() == 0, "run the tests as root, who alone can give files away")
    etc = tmp_path / "etc" / "specpost"
    etc.mkdir(parents=True)
    for name in ("specpost.toml", "database__url"):
        (etc / name).write_text("x")

    output("systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "specpost.sysusers"))
    output("systemd-tmpfiles", f"--root={tmp_path}", "--create", str(FOLDER / "specpost.tmpfiles"))

    passwd = (tmp_path / "etc" / "passwd").read_text()
    (line,) = re.findall(r"^specpost:.*$", passwd, flags=re.MULTILINE)
    group = int(line.split(":")[3])
    assert line.endswith(":/var/lib/specpost:/usr/sbin/nologin")
    modes = {
        path.name: (path.stat().st_mode & 0o777, path.stat().st_uid, path.stat().st_gid)
        for path in etc.iterdir()
    }
    assert modes == {"specpost.toml": (0o640, 0, group), "database__url": (0o600, 0, 0)}
    assert (etc.stat().st_mode & 0o777, etc.stat().st_gid) == (0o750, group)


def test_the_example_shows_every_key_and_loads_with_and_without_its_comments(tmp_path: Path) -> None:
    """Copying the example, and then taking off any ``#``, gives a configuration that starts."""
    for name in ("tls.crt", "tls.key", "logins"):
        (tmp_path / name).write_text("x")
    path = tmp_path / "specpost.toml"
    path.write_text(uncommented().replace("/etc/specpost", str(tmp_path)))

    settings = load(path, {})

    assert describe(load(EXAMPLE, {})) == describe(load(None, {}))
    assert settings.smtp.tls_cert == tmp_path / "tls.crt"
    assert settings.senders["example"].proof == ("dkim", "smtp-auth", "authentication-results")
    assert list(settings.imap) == ["specs", "team"]
    assert sorted(shown()) == sorted(key for key, *_ in table())


def uncommented() -> str:
    """The example with every key and table in force."""
    return re.sub(r"^#(?=[a-z0-9_]+ = |\[)", "", EXAMPLE.read_text(), flags=re.MULTILINE)


def shown() -> dict[str, Any]:
    """What the example shows for each key, by the name that the manual has for it."""
    whole = leaves(tomllib.loads(uncommented()))
    return {re.sub(r"^(senders|imap)\.\w+\.", r"\1.NAME.", key): value for key, value in whole.items()}


def leaves(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    """The values of a TOML document by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= leaves(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return found


def test_the_example_shows_the_defaults() -> None:
    """A default that changes changes the example with it."""
    examples = {
        *("state_dir", "database.url", "storage.url", "readers.processes", "dns.servers"),
        *("smtp.listen", "smtp.hostname", "smtp.recipients", "smtp.relays"),
        *("senders.NAME.from", "senders.NAME.repos", "senders.NAME.proof"),
        *("imap.NAME.host", "imap.NAME.port", "imap.NAME.user"),
        *("imap.NAME.oauth.provider", "imap.NAME.oauth.client_id"),
    }
    values = shown()

    wrong = [
        key
        for key, _, default, _ in table()
        if key not in examples and default and default != json.dumps(values[key])
    ]

    assert wrong == []
