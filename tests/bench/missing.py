"""Parts that a machine may lack: their rows are left out, and it is said what brings them."""

from __future__ import annotations

import shutil


class Missing(Exception):  # noqa: N818 - it is no error: the rest goes on without it
    """A part is missing; the text is the line that brings it."""


def program(name: str, package: str) -> str:
    """The path of a program; Missing names Debian's package."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        raise Missing(f"apt-get install -y --no-install-recommends {package}")
    return found
