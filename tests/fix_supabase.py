"""Supabase's own command line, which applies our migrations and looks for faults in what they make."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.parts import from_npm

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def supabase(request: pytest.FixtureRequest) -> str:
    """The program, from the PATH or from npm."""
    return shutil.which("supabase") or from_npm(request.config, "supabase@3", "supabase")


def told(supabase: str, home: Path, *arguments: str) -> tuple[int, str]:
    """Its exit status and all it says, with ``home`` for the files that it leaves where it works."""
    quiet = {"HOME": str(home), "DO_NOT_TRACK": "1", "SUPABASE_TELEMETRY_DISABLED": "1"}
    done = subprocess.run(
        [supabase, *arguments],
        cwd=home,
        env=os.environ | quiet,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
