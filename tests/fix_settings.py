"""Configurations: files and credentials of a test's own, and what is said against them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from daemon.settings import SettingsError, given, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Toml = Callable[[str], Path]
    Credentials = Callable[..., dict[str, str]]


@pytest.fixture
def no_standard_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine has installed is none of the tests' business."""
    monkeypatch.setattr(given, "STANDARD", tmp_path / "nothing.toml")


@pytest.fixture
def toml(tmp_path: Path) -> Toml:
    """A configuration file of the given text."""

    def write(text: str) -> Path:
        path = tmp_path / "specpost.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    """An environment whose ``$CREDENTIALS_DIRECTORY`` holds the given files."""

    def write(**files: str) -> dict[str, str]:
        folder = tmp_path / "credentials"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        return {"CREDENTIALS_DIRECTORY": str(folder)}

    return write


def refusal(path: Path | None = None, **environ: str) -> str:
    """What ``load`` has to say against a configuration."""
    with pytest.raises(SettingsError) as refused:
        load(path, environ)
    return str(refused.value)


def is_told(path: Path, line: int, text: str) -> bool:
    """Whether ``text`` is said against ``line`` of a configuration; shows what is said when it isn't."""
    told = refusal(path)
    assert all(each.isprintable() for each in told.splitlines())
    if any(each.startswith(f"{path}:{line}:") and text in each for each in told.splitlines()):
        return True
    pytest.fail(f"not in line {line}: {text}\n{told}")
