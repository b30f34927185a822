"""A small file system, which a test fills up, makes read-only, and mends."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A shell in a mount namespace of its own. In it this user is root, so that no other need be.
SHELL = ["unshare", "--map-root-user", "--mount", "sh"]


@dataclass
class Small:
    """A file system that is mounted at ``place``, for those alone whom ``do`` has started.

    It goes with the shell that holds it, so nothing has to be unmounted.
    """

    place: Path
    _shell: subprocess.Popen[str]

    @property
    def outside(self) -> Path:
        """How everybody else reaches it."""
        return Path(f"/proc/{self._shell.pid}/root{self.place}")

    def do(self, *words: str) -> None:
        """Run a command that sees it in its place."""
        shell = self._shell
        assert shell.stdin
        assert shell.stdout
        print(f"{shlex.join(words)} >&2; echo $?", file=shell.stdin, flush=True)
        assert shell.stdout.readline() == "0\n", words

    def fill(self) -> None:
        """Leave no room."""
        with self._filler.open("ab", buffering=0) as filler:
            for piece in (1 << 20, 1 << 12):
                try:
                    while True:
                        filler.write(bytes(piece))
                except OSError:
                    continue

    def make_room(self) -> None:
        """Give back what was taken."""
        self._filler.unlink()

    def forbid_writing(self) -> None:
        """Make it read-only, as a failing disk is made, at a moment when nobody writes."""
        again = "until mount -o remount,ro small $0 2>/dev/null; do sleep 0.01; done"
        self.do("timeout", "30", "sh", "-c", again, str(self.place))

    def allow_writing(self) -> None:
        """Mend that."""
        self.do("mount", "-o", "remount,rw", "small", str(self.place))

    @property
    def _filler(self) -> Path:
        return self.outside / "filler"


@contextmanager
def new_small(place: Path, mebibytes: int) -> Iterator[Small]:
    """One of this size."""
    able = shutil.which("unshare") and not subprocess.run([*SHELL, "-c", ":"], check=False).returncode
    need(able, "apt-get install util-linux; sysctl user.max_user_namespaces=1000")
    place.mkdir()
    with subprocess.Popen(SHELL, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        small = Small(place, shell)
        small.do("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "small", str(place))
        assert os.statvfs(small.outside).f_blocks * 4096 == mebibytes << 20
        yield small
