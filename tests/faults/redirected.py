"""The service, whose log goes where nobody expects it: ``python -m tests.faults.redirected PATH``."""

from __future__ import annotations

import os
import sys

from daemon.cli import main

if __name__ == "__main__":
    os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    main(["run"])
