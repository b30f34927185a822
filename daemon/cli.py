"""The commands: each a few lines here, with what is heavy imported inside."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from daemon.settings import Settings

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
COUNT = click.IntRange(0, 1_000_000)
OUT = click.Path(dir_okay=False, path_type=Path)
#: What can become of a mail that is recorded (daemon.outcome.Verdict, which would have to be imported first).
VERDICTS = ("accepted", "rejected", "refused", "ignored", "held")

_config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration; default: $SPECPOST_CONFIG, else /etc/specpost/specpost.toml if it is there.",
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")


def _spec_id(_ctx: click.Context, _param: click.Parameter, value: str | None) -> UUID | None:
    try:
        return UUID(value) if value else None
    except ValueError:
        raise click.BadParameter(f"{value!r} is no id; specpost specs lists them") from None


class Fatal(click.ClickException):
    """Ends the command with one message on standard error, and status 1."""

    def show(self, file: Any = None) -> None:  # noqa: ANN401, ARG002 - click's signature
        """Print the message as the command's own."""
        click.echo(f"specpost: {self.message}", err=True)


class FatalConfig(Fatal):
    """As Fatal, with the status after which systemd does not try again (EX_CONFIG of sysexits.h)."""

    exit_code = 78


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


@main.command()
@_config
def run(config: Path | None) -> None:
    """Be the daemon, in the foreground.

    It ends by Ctrl-C or SIGTERM. Without a configuration it brings its own PostgreSQL and storage, and
    takes mail on 127.0.0.1:8025 or the next free port. Its state lies in
    $STATE_DIRECTORY, else $XDG_STATE_HOME/specpost, else
    ~/.local/state/specpost.

    \b
    Example:
      SPECPOST_SMTP__LISTEN=127.0.0.1:2525 specpost run --config specpost.toml
    """
    from daemon import log, service

    settings = _settings(config)
    log.configure(settings.log.format, settings.log.level)
    with _explained():
        service.run(settings)


@main.command("try")
@click.option("--once", is_flag=True, help="End after the walk: status 0, or 1 and the reason.")
def try_(*, once: bool) -> None:
    """See it work: a daemon, a mail, its rows.

    Everything is embedded and stays in one folder; nothing needs to be
    configured. The daemon goes on, so that you can mail your own, until
    Ctrl-C.

    \b
    Example:
      specpost try            # and in another terminal:
      specpost send spec.yaml
    """
    from daemon.commands import trial

    with _explained():
        trial.walk(_settings(Path(os.devnull)), once=once)


@main.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--to", metavar="ADDR", help="The recipient; default: the daemon's first address.")
@click.option("--from", "sender", metavar="ADDR", help="The sender; default: you at this machine.")
@click.option(
    "--subject", metavar="TEXT", help="May name the repository: [owner/name] or [owner/name@branch]."
)
@click.option("--smtp", metavar="HOST:PORT", help="Where to; default: the daemon that runs on this machine.")
def send(
    files: tuple[Path, ...], to: str | None, sender: str | None, subject: str | None, smtp: str | None
) -> None:
    """Mail specifications, or an .eml.

    FILEs are attached to one new mail, which is planned even if the same
    files were mailed before; an .eml is sent as it is. Prints the daemon's
    answer; the status is 0 when it said 250.

    \b
    Examples:
      specpost send spec.yaml
      specpost send --subject '[octo/app@develop] Login' login.md mockup.png
      specpost send mail.eml --smtp 127.0.0.1:2525
    """
    from daemon.commands import posting

    settings = _settings(None)
    with _explained():
        letter = posting.compose(files, settings, to=to, sender=sender, subject=subject)
        code, text = posting.deliver(letter, posting.door(settings, smtp))
    click.echo(f"{code} {text}")
    sys.exit(code != posting.ACCEPTED)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dns", is_flag=True, help="Look up what proves a mail's sender; else nothing is asked.")
@click.option("--peer", metavar="ADDRESS", help="Who brings the mail: an IP address, or unix; SPF asks.")
@_config
def check(file: Path, config: Path | None, peer: str | None, *, dns: bool) -> None:
    """Say what would become of a file.

    FILE is a specification or an .eml, or - for standard input. Of a mail it
    also says whether its sender may send it, and why not; a specification
    by itself has no sender, so a rule's defaults are not applied. Needs no
    database and, but for --dns, no network, and changes nothing. The status
    is 0, or 1 when it would not be taken.

    \b
    Examples:
      specpost check spec.yaml
      specpost check --dns --peer 192.0.2.7 mail.eml
      specpost check - < mail.eml
    """
    from daemon.commands import checking

    with _explained():
        fine = checking.check(checking.Asked(file, peer, dns), _settings(config))
    sys.exit(not fine)


@main.command()
@click.option("-n", "count", type=COUNT, default=50, show_default=True, help="How many, newest first.")
@_json
@_config
def specs(count: int, *, as_json: bool, config: Path | None) -> None:
    """List the specifications.

    \b
    Example:
      specpost specs --json | jq -r .repo
    """
    from daemon.commands import display
    from db import specs as table

    with _connection(config) as conn:
        display.specs(table.newest(conn, count), as_json=as_json)


@main.command()
@click.argument("spec_id", callback=_spec_id)
@_json
@_config
def show(spec_id: UUID, *, as_json: bool, config: Path | None) -> None:
    """Show one specification.

    Its sprints, their Definition of Done, and its events.

    \b
    Example:
      specpost show 7d0c1f3e-… --json | jq '.sprints[].dod_json'
    """
    from daemon.commands import display
    from db import events, sprints
    from db import specs as table

    with _connection(config) as conn:
        spec = table.get(conn, spec_id)
        if spec is None:
            raise Fatal(f"there is no specification {spec_id}; specpost specs lists those there are")
        display.spec(spec, sprints.of_spec(conn, spec_id), events.last(conn, 1000, spec_id), as_json=as_json)


@main.command()
@click.option("-n", "count", type=COUNT, default=50, show_default=True, help="How many, newest first.")
@click.option("--verdict", type=click.Choice(VERDICTS), help="Only those of which this became.")
@click.option("--since", metavar="TIME", help='Only what came since then: "2h", "7d", or a date or time.')
@_json
@_config
def mails(count: int, verdict: str | None, since: str | None, *, as_json: bool, config: Path | None) -> None:
    """List the mails that came in, and what became of each.

    \b
    Examples:
      specpost mails --verdict held
      specpost mails --since 2h --json | jq -r 'select(.verdict == "refused").reason'
    """
    from datetime import UTC, datetime

    from daemon.commands import stories as display
    from db import stories

    try:
        after = display.since(since, datetime.now(UTC)) if since else None
    except ValueError as wrong:
        raise click.BadParameter(f"{since!r} is not {wrong}", param_hint="--since") from None
    with _connection(config) as conn:
        display.listed(stories.newest(conn, count, verdict, after), as_json=as_json)


@main.command()
@click.argument("what", metavar="ID|MESSAGE-ID|ADDRESS")
@_json
@_config
def why(what: str, *, as_json: bool, config: Path | None) -> None:
    """Tell the life of a mail: how it came, what was found in it, what became of it, and why.

    It is named by its id or that of a specification in it, by its Message-ID,
    or by its sender's address. Of several, each is listed. The status is 1 when there is none; then it says
    how the mailboxes fare in which it may still lie.

    \b
    Examples:
      specpost why 7d0c1f3e-…
      specpost why '<20261122.1000@example.org>'
      specpost why ana@example.org
    """
    from daemon.commands import stories as display
    from db import stories

    settings = _settings(config)
    with _connection(config) as conn:
        found = stories.of(conn, what, display.OF_A_SENDER)
        if not found:
            raise Fatal(display.unseen(conn, what, list(settings.imap)))
        if len(found) > 1:
            display.listed(found, as_json=as_json)
        else:
            display.told(display.Story.of(conn, found[0]), as_json=as_json)


@main.command()
@click.argument("what", metavar="ID|MESSAGE-ID")
@_config
def export(what: str, config: Path | None) -> None:
    """Write a mail to standard output, to the byte as it came.

    \b
    Example:
      specpost export 7d0c1f3e-… > mail.eml
    """
    from contextlib import closing

    from daemon.commands import stories as display
    from daemon.storage import FileStorage
    from db import stories

    settings = _settings(config)
    with _connection(config) as conn:
        found = stories.of(conn, what, display.OF_A_SENDER)
        if len(found) != 1:
            raise Fatal(f"{what!r} names {len(found)} mails; specpost mails lists those there are")
        key = display.raw_key(stories.parts(conn, found[0].id))
    if key is None:
        raise Fatal(f"only that it came was kept of mail {found[0].id}: specpost why tells its life")
    with closing(FileStorage(settings.storage.path)) as storage, _explained():
        sys.stdout.buffer.write(storage.get(key))


@main.command()
@click.option("-n", "count", type=COUNT, default=10, show_default=True, help="Events shown before following.")
@click.option("-f", "follow", is_flag=True, help="Go on, until Ctrl-C; no event is skipped.")
@click.option("--spec", "spec_id", callback=_spec_id, metavar="ID", help="Only this specification's events.")
@_json
@_config
def tail(count: int, spec_id: UUID | None, *, follow: bool, as_json: bool, config: Path | None) -> None:
    """Show status events, or follow them.

    \b
    Examples:
      specpost tail -f
      specpost tail -n 100 --json | jq 'select(.phase == "FAILED")'
    """
    from daemon.commands import tailing

    settings = _settings(config)
    with (
        suppress(KeyboardInterrupt),
        _explained(),
        tailing.stream(settings, count, spec_id, follow=follow) as events,
    ):
        tailing.show(events, as_json=as_json)


@main.command()
@click.option("--url-file", type=FILE, help="A file with the owner's URL; default: $SPECPOST_OWNER_URL.")
@click.option(
    "--create-login", "login", metavar="NAME", help="Make a login for the daemon, or give it a new password."
)
@click.option("--out", type=OUT, help="With --create-login: the file for its URL (made with mode 0600).")
def migrate(url_file: Path | None, login: str | None, out: Path | None) -> None:
    """Bring a database to this release's schema.

    This is done as its owner. The owner's URL never goes on the command line. `supabase --workdir db db push`
    applies the same migrations; use either.

    \b
    Examples:
      specpost migrate --url-file owner_url
      specpost migrate --url-file owner_url --create-login specpost --out /etc/specpost/database__url
    """
    from daemon.commands import owning

    if (login is None) != (out is None):
        raise click.UsageError("--create-login NAME and --out FILE go together")
    with _explained(), owning.connected(url_file) as owner:
        if login is None or out is None:
            owning.migrate(owner)
        else:
            owning.create_login(owner, login, out)


@main.command("db-url")
@_config
def db_url(config: Path | None) -> None:
    """Print the URL of the database in use.

    The embedded server is started if need be, and goes on.

    \b
    Example:
      psql "$(specpost db-url)" -c 'table specs'
    """
    from daemon import database

    with _explained(), database.url(_settings(config), keep=True) as url:
        click.echo(url)


@main.group()
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
@click.option("--file", type=OUT, help="The file of logins; default: the configuration's [smtp] logins_file.")
@_config
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
        raise Fatal(str(error)) from None


@main.group()
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
@_config
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

    settings = _settings(config)
    try:
        with _explained():
            consenting.login(settings, database.url(settings), account, browser=browser)
    except (consenting.AccountError, ConsentError) as error:
        raise Fatal(str(error)) from None
    except KeyboardInterrupt:
        raise Fatal("ended; nothing was stored") from None


@main.group()
def imap() -> None:
    """Mailboxes that the daemon watches.

    \b
    Example:
      specpost imap check specs
    """


@imap.command("check")
@click.argument("account")
@_config
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

    settings = _settings(config)
    try:
        with _explained():
            mailboxing.check(settings, account)
    except (consenting.AccountError, mailboxing.CheckFailed) as error:
        raise Fatal(str(error)) from None


def _logins_file(config: Path | None) -> Path:
    file = _settings(config).smtp.logins_file
    if file is None:
        raise Fatal("which file of logins? The configuration has no [smtp] logins_file; name one with --file")
    return file


def _settings(config: Path | None) -> Settings:
    from daemon import log, settings

    try:
        loaded = settings.load(config)
    except settings.SettingsError as error:
        raise FatalConfig(str(error)) from None
    log.configure("console", "warning")
    return loaded


@contextmanager
def _connection(config: Path | None) -> Iterator[Connection[Any]]:
    import psycopg

    from daemon import database

    with (
        _explained(),
        database.url(_settings(config)) as url,
        psycopg.connect(url, prepare_threshold=None) as conn,
    ):
        yield conn


@contextmanager
def _explained() -> Iterator[None]:
    """What can go wrong at this edge, as one message and an exit status."""
    import psycopg

    from daemon import child, database, service
    from daemon.commands import checking, posting, trial
    from db import embedded, migrate, pool

    try:
        yield
    except (service.StartError, database.UnfitError, pool.UrlError) as error:
        raise FatalConfig(str(error)) from error
    except BrokenPipeError:  # nobody reads any more, as behind head: click ends in silence
        raise
    except (
        service.ListenError,
        child.NotStarted,
        checking.CheckError,
        embedded.EmbeddedError,
        migrate.MigrationError,
        migrate.LoginError,
        OSError,
        posting.PostingError,
        trial.TrialError,
    ) as error:
        raise Fatal(str(error)) from error
    except psycopg.Error as error:
        raise Fatal(f"the database says: {str(error).strip()}") from error
