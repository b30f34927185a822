"""What is installed is whole: a wheel in a fresh virtual environment, far from the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from tests.fix_daemon import REPO, environment
from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Iterator

# Dependencies come from an index, and PostgreSQL is among them.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

#: A user that owns nothing, and may read only what everybody may. What setpriv runs may still have
#: been found with root's rights; what env runs is found with the user's own.
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env"]


@dataclass(frozen=True)
class Installed:
    """A wheel, and the virtual environment it was installed in."""

    wheel: Path
    venv: Path


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """The wheel of this checkout, installed where anybody may read it."""
    with tempfile.TemporaryDirectory(prefix="specpost-wheel-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        _run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", name, str(REPO))
        (wheel,) = folder.glob("*.whl")
        _run(_python(), "-m", "venv", str(folder / "venv"))
        _run(str(folder / "venv/bin/pip"), "install", "-q", str(wheel))
        yield Installed(wheel, folder / "venv")


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd="/", env=environment({}), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def _python() -> str:
    """A Python that everybody may run, if there is one: this one may lie in somebody's home."""
    candidates = [sys._base_executable, shutil.which("python3", path="/usr/bin") or ""]  # type: ignore[attr-defined]
    return next(filter(_is_for_all, candidates), sys.executable)


def _is_for_all(python: str) -> bool:
    if not python or not _can_change_user():
        return False
    has_venv = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
    done = subprocess.run([*AS_NOBODY, python, "-c", has_venv], cwd="/", capture_output=True, check=False)
    return done.returncode == 0


def _can_change_user() -> bool:
    return os.geteuid() == 0 and shutil.which("setpriv") is not None


def walk(venv: Path, home: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    """``specpost try --once`` with ``home`` as everything it may write to."""
    usual = {key: value for key, value in environment({}).items() if not key.startswith(("XDG_", "PYTHON"))}
    return subprocess.run(
        [*prefix, str(venv / "bin/specpost"), "try", "--once"],
        cwd=home,
        env=usual | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_told(done: subprocess.CompletedProcess[str], home: Path) -> None:
    """The walk came to its end, and said so."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^S: 250 2\.0\.0 spec=\S+ mail=\S+$", done.stdout, re.MULTILINE), done.stdout
    assert "SPEC_RECEIVED" in done.stderr
    assert "PLANNING" in done.stderr
    assert (home / ".local/state/specpost/storage/mails").is_dir()


def test_the_wheel_holds_what_is_no_code(installed: Installed) -> None:
    """Every migration, the example, the marker for type checkers; and nothing that isn't ours to install."""
    names = set(ZipFile(installed.wheel).namelist())
    migrations = {str(path.relative_to(REPO)) for path in REPO.glob("db/supabase/migrations/*.sql")}

    assert migrations
    assert migrations | {"daemon/example.yaml"} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"daemon", "db", "specpost"}


def test_the_walk_from_a_wheel(installed: Installed, tmp_path: Path) -> None:
    """Nothing of the checkout is needed."""
    assert_told(walk(installed.venv, tmp_path), tmp_path)


def test_the_walk_as_a_plain_user(installed: Installed) -> None:
    """Who may write to nothing but their home needs no more."""
    need(_can_change_user(), "apt-get install util-linux, and run as root")
    need(_is_for_all(str(installed.venv / "bin/python")), "apt-get install python3-venv")
    with tempfile.TemporaryDirectory(prefix="specpost-home-") as name:
        home = Path(name)
        os.chown(home, NOBODY, NOBODY)
        assert_told(walk(installed.venv, home, *AS_NOBODY), home)
