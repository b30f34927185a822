"""``specpost reconcile``: rows against storage and mailboxes, what is wrong, and what was mended."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from daemon import wiring
from daemon.commands import mailboxing
from daemon.commands.findings import KINDS, find
from daemon.commands.mending import Mender
from daemon.text import json_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

    from daemon.commands.findings import Finding
    from daemon.settings import Settings


def reconcile(conn: Connection[Any], settings: Settings, *, repair: bool, as_json: bool) -> bool:
    """Print what isn't as it should be, mend it if asked to, and say how far each mailbox is.

    Whether all is well then.

    Raises:
        OSError: storage can't be asked.
    """
    counted: Counter[str] = Counter(dict.fromkeys(("objects", "rows", *KINDS, "repaired"), 0))
    with closing(wiring.storage(settings)) as storage, closing(Mender(conn, storage, settings)) as mender:
        for found in find(conn, storage, counted):
            finding = mender.mend(found) if repair else found
            counted[finding.what] += 1
            counted["repaired"] += finding.repaired
            _tell(finding, as_json=as_json)
    boxes = [mailboxing.compare(conn, settings, account) for account in settings.imap]
    if as_json:
        click.echo(json_line(counted | {"mailboxes": [asdict(box) for box in boxes]}))
    else:
        click.echo(_summary(counted))
        for box in boxes:
            click.echo(str(box))
    wrong = sum(counted[kind] for kind in KINDS)
    return wrong == counted["repaired"] and not any(box.trouble for box in boxes)


def _tell(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        click.echo(json_line(asdict(finding)))
    else:
        mended = ", repaired" if finding.repaired else ""
        click.echo(f"{finding.what:<9}  {finding.key}  {finding.size:,} bytes{mended}")


def _summary(counted: Mapping[str, int]) -> str:
    wrong = [f"{counted[kind]:,} {kind}" for kind in KINDS if counted[kind]]
    said = f"{counted['objects']:,} objects for {counted['rows']:,} rows: {', '.join(wrong) or 'all is well'}"
    if not wrong:
        return said
    return f"{said}; {counted['repaired']:,} repaired" if counted["repaired"] else f"{said} (--repair mends)"
