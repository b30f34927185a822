"""The commands: each a few lines here, with what is heavy imported inside."""

from __future__ import annotations

import click

from daemon.cli import access, ci, daemon, mails, owner, specs


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="specpost")
def main() -> None:
    """Mail a specification; a second later it is planned work in PostgreSQL.

    \b
    Try it on this machine, with nothing to set up:
      specpost try
    Then mail your own, and watch what becomes of it:
      specpost send spec.yaml
      specpost tail -f
    """


for _room in (daemon, specs, ci, mails, owner, access):
    for _command in _room.COMMANDS:
        main.add_command(_command)
