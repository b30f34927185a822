"""Haraka: a mail server to be programmed in JavaScript; here with a plugin that makes a file of each mail."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import processes
from tests.bench.corpus import US
from tests.bench.job import expect, expect_all
from tests.bench.missing import Missing, program
from tests.bench.processes import DrainError, run
from tests.bench.rivals.kept import message_id, sample
from tests.bench.serving import Service, at_once
from tests.fix_postfix import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.serving import Stage, Workload

NAME = "Haraka, file with fsync"
#: Seconds for npm, which may have to download.
INSTALL_PATIENCE = 600
#: Seconds for Haraka to be up, or to be gone.
PATIENCE = 30
#: Lines of the Received that it adds.
RECEIVED_LINES = 4
#: Seconds between two looks whether it is up.
LOOK_EVERY = 0.02

_PLUGIN = "haraka_file"
_UP = re.compile(r"Listening on ")


def version() -> str:
    """What npm has installed, which it does first if need be; raises Missing."""
    node = program("node", "nodejs npm")
    try:
        said = run([node, "--version"], PATIENCE).strip()
        return f"Haraka {json.loads((_home() / 'package.json').read_text())['version']}, Node.js {said}"
    except (DrainError, OSError) as error:
        raise Missing(f"{' '.join(_install())} ({error})") from None


def _home() -> Path:
    """Where it is, once npm has installed it."""
    home = _prefix() / "node_modules" / "Haraka"
    if not home.exists():
        _prefix().mkdir(parents=True, exist_ok=True)
        run([program("npm", "nodejs npm"), *_install()[1:]], INSTALL_PATIENCE)
    return home


def _prefix() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "specpost-bench" / "haraka"


def _install() -> list[str]:
    """What brings it: none of the plugins that it may do without, and no program of any package is run."""
    how = ["--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
    return ["npm", "install", "--prefix", str(_prefix()), *how, "Haraka"]


@contextmanager
def serving(stage: Stage) -> Iterator[Service]:
    """One process, as it ships, with two plugins: which domain is ours, and the file for each mail."""
    port, files = free_port(), stage.folder / "files"
    _furnish(stage.folder, port)
    files.mkdir()
    command = [program("node", "nodejs npm"), str(_home() / "bin" / "haraka"), "-c", str(stage.folder)]
    with (stage.folder / "log").open("ab") as log:
        # A session of its own: Ctrl-C is for us, who end it in order.
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=os.environ | {"HARAKA_FILES": str(files)},
            start_new_session=True,
        )
    try:
        _await_up(process, stage.folder / "log")
        yield Service(
            ("127.0.0.1", port),
            process.pid,
            settle=at_once,
            check=lambda mails: _check(files, stage.workload, mails),
        )
    finally:
        started = processes.tree(process.pid)
        process.terminate()
        process.wait(PATIENCE)
        processes.await_end(started, PATIENCE)


def _furnish(folder: Path, port: int) -> None:
    """Its configuration as it ships, but for who and where it is, and what it does."""
    shutil.copytree(_home() / "config", folder / "config")
    for name, text in {
        "smtp.ini": f"listen=127.0.0.1:{port}\n",
        "me": "mx.example.net\n",
        "host_list": f"{US.partition('@')[2]}\n",
        "plugins": f"rcpt_to.in_host_list\n{_PLUGIN}\n",
    }.items():
        (folder / "config" / name).write_text(text)
    (folder / "plugins").mkdir()
    shutil.copy(Path(__file__).with_name(f"{_PLUGIN}.js"), folder / "plugins")


def _await_up(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _UP.search(said := log.read_text(errors="replace")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise DrainError(f"Haraka does not start: {said[-1000:]}")
        time.sleep(LOOK_EVERY)


def _check(files: Path, workload: Workload, mails: int) -> None:
    stored = [file.read_bytes() for file in files.iterdir()]
    found = {message_id(each): each for each in stored}
    sent = [workload.mail(n) for n in range(mails)]
    expect("files", len(stored), mails)
    expect_all("mails have no file", (message_id(mail) in found for mail in sent))
    expect_all("files differ", (_is_kept(found[message_id(sent[n])], sent[n]) for n in sample(mails)))


def _is_kept(stored: bytes, sent: bytes) -> bool:
    """Whether all is there: what other servers found goes to the header's end, under another name."""
    (head, body), (wanted, sent_body) = (message.split(b"\r\n\r\n", 1) for message in (stored, sent))
    lines = head.replace(b"Original-Authentication-Results:", b"Authentication-Results:").split(b"\r\n")
    added = Counter(lines) - Counter(wanted.split(b"\r\n"))
    missing = Counter(wanted.split(b"\r\n")) - Counter(lines)
    return body == sent_body and not missing and added.total() == RECEIVED_LINES
