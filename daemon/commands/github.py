"""What GitHub Actions takes from a step: values for later steps, and a page for people."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def output(values: Mapping[str, str]) -> None:
    """Set the step's outputs, if there is one.

    Each value stands between two lines that nobody can foresee, so that
    none, however many lines it has, can set another.
    """
    lines = []
    for name, value in values.items():
        end = f"end-{secrets.token_hex(16)}"
        lines.append(f"{name}<<{end}\n{value}\n{end}\n")
    _append("GITHUB_OUTPUT", "".join(lines))


def page(markdown: str) -> None:
    """Put this on the page of the run, if there is one."""
    _append("GITHUB_STEP_SUMMARY", f"{markdown}\n")


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
