"""``python -m tests.bench``: everything side by side in one run, as a table and as JSON."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench import growth, imap, reading, rows, smtp, table
from tests.bench.case import Scale
from tests.bench.machine import apart, describe
from tests.bench.measure import tell
from tests.bench.missing import Missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.case import Case

#: What can be run alone, in the order in which all are run.
BENCHES = {"smtp": smtp, "imap": imap, "rows": rows, "reading": reading, "growth": growth}
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
    cases = [case for bench in BENCHES.values() for case in bench.CASES]
    parser.add_argument("--case", choices=cases, action="append", help="one case alone (may be repeated)")
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
    versions: dict[str, str] = {}
    done: dict[str, list[Case]] = {}
    for name, case in _cases(folder, asked, versions):
        done.setdefault(name, []).append(case)
    cases = [case for some in done.values() for case in some]
    sys.stdout.write(table.render(machine, versions, cases))
    if asked.json:
        plain = {name: [_plain(case) for case in some] for name, some in done.items()}
        told = {"machine": asdict(machine), "versions": versions} | plain
        asked.json.write_text(json.dumps(told, indent=1) + "\n")
    failed = any(series.failed for case in cases for series in case.series.values())
    return 1 if failed or not cases else 0


def _cases(folder: Path, asked: argparse.Namespace, versions: dict[str, str]) -> Iterator[tuple[str, Case]]:
    """Each case that is asked for with the name of its bench; ``versions`` are added to."""
    scale = Scale(asked.full, asked.rounds, asked.mails)
    for name in [asked.only] if asked.only else BENCHES:
        bench = BENCHES[name]
        chosen = [case for case in bench.CASES if case in (asked.case or bench.CASES)]
        if not chosen:
            continue
        (folder / name).mkdir(mode=0o711)
        try:
            with bench.opened(folder / name, scale) as open_bench:
                for case in chosen:
                    yield name, open_bench.cases[case]()
                versions.update(open_bench.versions)
        except Missing as missing:
            tell(f"left out: all of {name}: {missing}")


def _plain(case: Case) -> dict[str, Any]:
    return {
        "case": case.title,
        "absent": dict(case.absent),
        "goals": [asdict(verdict) for goal in case.goals if (verdict := goal.verdict(case.series))],
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
