"""``python -m tests.bench``: everything side by side in one run, as a table and as JSON."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench import imap, table
from tests.bench.machine import apart, describe
from tests.bench.measure import tell
from tests.bench.missing import Missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.imap import Case, Scale

#: What can be run alone.
BENCHES = ("imap",)
CASES = ("near", "far", "big")
#: Milliseconds for a new file, above which its disk and not its program decides what a run takes.
SLOW_FILE_MS = 0.1
#: On the disk, unlike what may be at /tmp.
SCRATCH = Path("/var/tmp")  # noqa: S108 - a folder of our own is made in it


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for."""
    asked = _arguments(argv)
    signal.signal(signal.SIGTERM, _leave)  # whatever is running is ended on the way out
    folder = Path(tempfile.mkdtemp(prefix="specpost-bench-", dir=asked.scratch))
    folder.chmod(0o711)  # the mailboxes are another user's
    apart(folder)
    try:
        return _run(folder, asked)
    except Missing as missing:
        tell(f"nothing can be measured: {missing}")
        return 1
    except KeyboardInterrupt:
        tell("stopped")
        return 130
    finally:
        if asked.keep:
            tell(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a few minutes (what is run by default)")
    size.add_argument("--full", action="store_true", help="all mails for all, and medians of five rounds")
    parser.add_argument("--only", choices=BENCHES, help="one bench alone")
    parser.add_argument("--case", choices=CASES, action="append", help="one case alone (may be repeated)")
    parser.add_argument("--rounds", type=int, help="other than --quick or --full have")
    parser.add_argument("--mails", type=int, help="at most so many for each program, to try the bench itself")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument(
        "--scratch", type=Path, default=SCRATCH, metavar="DIR", help=f"where all is done (else {SCRATCH})"
    )
    parser.add_argument("--keep", action="store_true", help="leave the folder with all logs")
    return parser.parse_args(argv)


def _leave(*_: object) -> None:
    raise KeyboardInterrupt


def _run(folder: Path, asked: argparse.Namespace) -> int:
    machine = describe(folder)
    tell(str(machine))
    if machine.file_ms > SLOW_FILE_MS:
        tell(
            "new files are slow here: many were deleted lately (README). Wait five minutes, or see --scratch"
        )
    with imap.opened(folder, _scale(asked)) as bench:
        cases = [getattr(bench, name)() for name in asked.case or CASES]
        versions = bench.versions
    sys.stdout.write(table.render(machine, versions, cases))
    if asked.json:
        told = {"machine": asdict(machine), "versions": versions, "imap": [_plain(case) for case in cases]}
        asked.json.write_text(json.dumps(told, indent=1) + "\n")
    return 1 if any(series.failed for case in cases for series in case.series.values()) else 0


def _scale(asked: argparse.Namespace) -> Scale:
    scale = imap.FULL if asked.full else imap.QUICK
    if asked.rounds:
        scale = replace(scale, rounds=asked.rounds, big_rounds=asked.rounds)
    if asked.mails:
        by = {name: min(mails, asked.mails) for name, mails in scale.by.items()}
        scale = replace(scale, mails=asked.mails, by=by, big=min(scale.big, asked.mails))
    return scale


def _plain(case: Case) -> dict[str, Any]:
    return {
        "case": case.title,
        "absent": dict(case.absent),
        "goals": [asdict(goal) for goal in case.goals],
        "series": {
            name: {
                "failed": series.failed,
                "retried": series.retried,
                "samples": [asdict(sample) for sample in series.samples],
            }
            for name, series in case.series.items()
        },
    }


if __name__ == "__main__":
    sys.exit(main())
