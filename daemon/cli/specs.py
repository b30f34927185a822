"""What is in the control plane."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from daemon.cli import edge

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path
    from uuid import UUID


def _lasting(_ctx: click.Context, _param: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    from daemon.commands import lending

    try:
        return lending.lasting(value)
    except ValueError as wrong:
        raise click.BadParameter(f"{value!r} is not {wrong}") from None


@click.command()
@click.option("-n", "count", type=edge.COUNT, default=50, show_default=True, help="How many, newest first.")
@edge.as_json
@edge.config
def specs(count: int, *, as_json: bool, config: Path | None) -> None:
    """List the specifications: how far each is, and what was last heard of it.

    \b
    Example:
      specpost specs --json | jq -r .repo
    """
    from daemon.commands import display
    from db import specs as table

    with edge.connection(config) as conn:
        display.specs(table.newest(conn, count), as_json=as_json)


@click.command()
@click.argument("spec_id", callback=edge.spec_id)
@click.option(
    "--urls",
    "lasts",
    is_flag=False,
    flag_value="24h",
    callback=_lasting,
    metavar="[DURATION]",
    help="URLs of what is stored: by these anybody can read it, for 24h or as long as you say, at most 7d.",
)
@edge.as_json
@edge.config
def show(spec_id: UUID, lasts: timedelta | None, *, as_json: bool, config: Path | None) -> None:
    """Show one specification.

    Its sprints, their Definition of Done, their runs with what these left
    and what the gate said, and its events. With --urls also where its
    document, its plan and what came with it can be read.

    \b
    Examples:
      specpost show 7d0c1f3e-… --json | jq '.sprints[].dod_json'
      specpost show 7d0c1f3e-… --urls 2h
    """
    from contextlib import closing

    from daemon.commands.lives import Life, told

    with edge.connection(config) as conn:
        life = Life.of(conn, spec_id)
        if life is None:
            raise edge.Fatal(f"there is no specification {spec_id}; specpost specs lists those there are")
        urls = None
        if lasts:
            from daemon import wiring
            from daemon.commands import lending

            with closing(wiring.storage(edge.settings(config))) as storage:
                urls = lending.lend(conn, storage, spec_id, lasts)
        told(life, urls, as_json=as_json)


@click.command()
@click.option(
    "-n", "count", type=edge.COUNT, default=10, show_default=True, help="Events shown before following."
)
@click.option("-f", "follow", is_flag=True, help="Go on, until Ctrl-C; no event is skipped.")
@click.option(
    "--spec", "spec_id", callback=edge.spec_id, metavar="ID", help="Only this specification's events."
)
@edge.as_json
@edge.config
def tail(count: int, spec_id: UUID | None, *, follow: bool, as_json: bool, config: Path | None) -> None:
    """Show status events, or follow them.

    \b
    Examples:
      specpost tail -f
      specpost tail -n 100 --json | jq 'select(.phase == "FAILED")'
    """
    from daemon.commands import tailing

    settings = edge.settings(config)
    with (
        suppress(KeyboardInterrupt),
        edge.explained(),
        tailing.stream(settings, count, spec_id, follow=follow) as events,
    ):
        tailing.show(events, as_json=as_json)


COMMANDS = (specs, show, tail)
