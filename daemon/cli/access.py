"""Who gets in: senders into the daemon, and the daemon into mailboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daemon.cli import edge

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def login() -> None:
    """Say who may log in to send mail.

    A login is a name and a password for SMTP AUTH, which is offered under
    TLS, and the From addresses that are theirs. A rule of [senders] whose
    proof is smtp-auth takes their mail.

    \b
    Example:
      specpost login add ana --from ana@example.com --file /etc/specpost/logins
    """


@login.command("add")
@click.argument("name")
@click.option(
    "--from",
    "addresses",
    metavar="ADDR",
    multiple=True,
    required=True,
    help="A From address that is theirs; may be given several times.",
)
@click.option(
    "--file", type=edge.OUT, help="The file of logins; default: the configuration's [smtp] logins_file."
)
@edge.config
def login_add(name: str, addresses: tuple[str, ...], file: Path | None, config: Path | None) -> None:
    """Add a login, or give it a new password.

    The password is asked for twice; where there is no terminal it is one
    line of standard input. The line of the same NAME is replaced, all others
    stay as they are.

    The daemon must be able to read the file, and nobody else. A new one in
    /etc/specpost can be read by the group of that folder, specpost; anywhere
    else only by you, until you chgrp it to the daemon's group and chmod 640.

    \b
    Examples:
      specpost login add ana --from ana@example.com --file /etc/specpost/logins
      pass mail/ci | specpost login add ci --from ci@example.com --from bot@example.com
    """
    from daemon.commands import admitting
    from daemon.logins import LoginsError
    from daemon.passwords import PasswordError

    try:
        admitting.add(file or _logins_file(config), name, addresses)
    except (LoginsError, PasswordError) as error:
        raise edge.Fatal(str(error)) from None


@click.group()
def oauth() -> None:
    """Let the daemon into a mailbox without a password.

    Gmail and Microsoft 365 hand out tokens instead (OAuth2), once a person
    has consented.

    \b
    Example:
      specpost oauth login specs
    """


@oauth.command("login")
@click.argument("account")
@click.option("--browser", is_flag=True, help="Consent in a browser, though the provider gives codes.")
@edge.config
def oauth_login(account: str, config: Path | None, *, browser: bool) -> None:
    """Consent, as the owner of a mailbox.

    ACCOUNT is the NAME of an [imap.NAME] with oauth in the configuration.
    You are shown a page to log in on; when you have, a token is stored in the
    daemon's database, sealed with [oauth] key. With Microsoft you type a code
    on any device; where that is not allowed, and with Google, you use a
    browser, and if it is on another machine, paste the address it ends at.

    Once is enough, until consent is withdrawn; then the daemon says so. It
    needs no restart.

    \b
    Examples:
      specpost oauth login specs
      specpost oauth login specs --config specpost.toml --browser
    """
    from daemon import database
    from daemon.commands import consenting
    from daemon.credentials import ConsentError

    settings = edge.settings(config)
    try:
        with edge.explained():
            consenting.login(settings, database.url(settings), account, browser=browser)
    except (consenting.AccountError, ConsentError) as error:
        raise edge.Fatal(str(error)) from None
    except KeyboardInterrupt:
        raise edge.Fatal("ended; nothing was stored") from None


@click.group()
def imap() -> None:
    """Mailboxes that the daemon watches.

    \b
    Example:
      specpost imap check specs
    """


@imap.command("check")
@click.argument("account")
@edge.config
def imap_check(account: str, config: Path | None) -> None:
    """Enter a mailbox as the daemon would, and say what there is.

    ACCOUNT is a table of [imap]. Shows what the server can, its folders, what
    would be taken at the first contact, where mails would go, and how long a
    round trip takes; or in words what is wrong. Changes nothing.

    \b
    Example:
      specpost imap check specs --config specpost.toml
    """
    from daemon.commands import consenting, mailboxing

    settings = edge.settings(config)
    try:
        with edge.explained():
            mailboxing.check(settings, account)
    except (consenting.AccountError, mailboxing.CheckFailed) as error:
        raise edge.Fatal(str(error)) from None


def _logins_file(config: Path | None) -> Path:
    file = edge.settings(config).smtp.logins_file
    if file is None:
        raise edge.Fatal(
            "which file of logins? The configuration has no [smtp] logins_file; name one with --file"
        )
    return file


COMMANDS = (login, oauth, imap)
