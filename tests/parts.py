"""Parts of the system that a test needs and a machine may lack."""

from __future__ import annotations

import os

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
