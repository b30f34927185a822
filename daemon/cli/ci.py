"""What CI does with a sprint: ``specpost ci`` and its steps."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli import edge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from psycopg import Connection

    from daemon.settings import Settings

REPORTS = click.Path(path_type=Path)  # which file can't be read is told as all trouble with files is

_RIGHTS = (
    "the database URL's login may not do this; specpost migrate --create-login ci --role ci_runner makes one"
    " that may"
)
_NO_BUCKET = (
    'artifacts go into a bucket: set [storage] url = "s3://BUCKET" (SPECPOST_STORAGE__URL) and its keys'
)
_OLD = "the database lacks this release's migrations; specpost migrate applies them"


class Trouble(edge.Fatal):
    """Ends a step with one line and status 2: 1 is said by the gate alone."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        from daemon.text import printable

        super().__init__(printable(" ".join(message.split()), 1000))


@contextmanager
def _explained() -> Iterator[None]:
    """All that can go wrong in a step, as one line."""
    import psycopg
    from psycopg import errors

    from daemon.commands.running import ArtifactError
    from daemon.reports import ReportError

    try:
        yield
    except edge.Fatal as error:
        raise Trouble(error.message) from None
    except (ArtifactError, ReportError, OSError) as error:
        raise Trouble(str(error)) from None
    except errors.InsufficientPrivilege:
        raise Trouble(_RIGHTS) from None
    except (errors.UndefinedFunction, errors.UndefinedTable, errors.InvalidSchemaName):
        raise Trouble(_OLD) from None
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error)
        raise Trouble(f"{said} ({error.diag.message_hint})" if error.diag.message_hint else said) from None


def _settings(config: Path | None) -> Settings:
    with _explained():
        return edge.settings(config)


@contextmanager
def _connection(config: Path | None) -> Iterator[Connection[Any]]:
    """A connection as CI's role; what is done in it is durable after it."""
    with _explained(), edge.connection(config, for_ci=True) as conn, _explained():
        yield conn


@click.group()
def ci() -> None:
    """Run a sprint as CI does, and have the gate decide.

    The database is $SPECPOST_DATABASE__URL, with a login that
    `specpost migrate --create-login ci --role ci_runner` made; artifacts go into the bucket of [storage]. On
    GitHub Actions each step also sets its outputs (run_id, sprint_id, result), and finish puts the gate on
    the run's page.

    The status is 0 when all is well, 1 when the gate failed, and 2 in trouble, which is told in one line on
    standard error.

    \b
    Example, a whole run:
      sprint=$(specpost ci next "$SPEC_ID" --json | jq -r .id)
      run=$(specpost ci start "$sprint")
      specpost ci artifact "$run" junit junit.xml
      specpost ci finish "$run" --junit junit.xml --coverage coverage.xml
    """


@ci.command("next")
@click.argument("spec_id", metavar="SPEC", callback=edge.spec_id)
@edge.as_json
@edge.config
def next_sprint(spec_id: UUID, *, as_json: bool, config: Path | None) -> None:
    """Print the next sprint of a specification: its id, its label and when it is done.

    The next one is the first that is planned still. When there is none, nothing is printed, or null with
    --json.

    \b
    Example:
      specpost ci next 7d0c1f3e-… --json | jq -r .id
    """
    from daemon.commands import running
    from db import sprints

    with _connection(config) as conn:
        found = sprints.next_of(conn, spec_id)
    with _explained():
        running.tell_next(found, as_json=as_json)


@ci.command()
@click.argument("sprint_id", metavar="SPRINT", type=click.UUID)
@click.option(
    "--ci-run-id",
    metavar="ID",
    envvar="GITHUB_RUN_ID",
    required=True,
    help="CI's own id of the run; default: $GITHUB_RUN_ID.",
)
@click.option(
    "--attempt",
    type=click.IntRange(1, 2**31 - 1),
    envvar="GITHUB_RUN_ATTEMPT",
    default=1,
    help="Which attempt it is; default: $GITHUB_RUN_ATTEMPT, else 1.",
)
@edge.as_json
@edge.config
def start(sprint_id: UUID, ci_run_id: str, attempt: int, *, as_json: bool, config: Path | None) -> None:
    """Begin a run of a sprint, and print the run's id.

    A repeat of the same attempt is the same run.

    \b
    Example:
      run=$(specpost ci start 7d0c1f3e-…)
    """
    from daemon.commands import running
    from db import runs

    with _connection(config) as conn:
        run = runs.start(conn, sprint_id, ci_run_id, attempt)
    with _explained():
        running.tell_start(run, as_json=as_json)


@ci.command()
@click.argument("run_id", metavar="RUN", type=click.UUID)
@click.argument("phase")
@click.argument("message")
@edge.as_json
@edge.config
def event(run_id: UUID, phase: str, message: str, *, as_json: bool, config: Path | None) -> None:
    """Tell what happens in a run, for those who follow it.

    \b
    Example:
      specpost ci event "$run" TESTS_FAILED "3 of 120 tests failed"
    """
    from daemon.commands import running
    from db import events

    with _connection(config) as conn:
        told = events.log(conn, run_id, phase, message)
    running.tell_event(told, as_json=as_json)


@ci.command()
@click.argument("run_id", metavar="RUN", type=click.UUID)
@click.argument("kind")
@click.argument("files", metavar="FILE...", type=REPORTS, nargs=-1, required=True)
@edge.as_json
@edge.config
def artifact(run_id: UUID, kind: str, files: tuple[Path, ...], *, as_json: bool, config: Path | None) -> None:
    """Upload files that a run left, and record where they lie.

    KIND is one of junit, coverage, playwright, lighthouse and logs, or a word of your own. The files go into
    the bucket that [storage] names, under reports/RUN/KIND/. Prints their keys.

    \b
    Examples:
      specpost ci artifact "$run" junit junit.xml
      tar -cz playwright-report > report.tgz && specpost ci artifact "$run" playwright report.tgz
    """
    from contextlib import closing

    from daemon import wiring
    from daemon.commands import running

    settings = _settings(config)
    if settings.storage.bucket is None:
        raise Trouble(_NO_BUCKET)
    with _connection(config) as conn, closing(wiring.storage(settings)) as storage:
        found = running.store(conn, storage, run_id, kind, files)
    running.tell_artifacts(found, as_json=as_json)


@ci.command()
@click.argument("run_id", metavar="RUN", type=click.UUID)
@click.option(
    "--junit", type=REPORTS, multiple=True, metavar="FILE", help="Unit tests: JUnit's XML. Several add up."
)
@click.option(
    "--coverage",
    type=REPORTS,
    multiple=True,
    metavar="FILE",
    help="Cobertura's XML, coverage.py's JSON or lcov. Of several the least counts.",
)
@click.option(
    "--e2e",
    type=REPORTS,
    multiple=True,
    metavar="FILE",
    help="End-to-end tests: Playwright's JSON. Several add up.",
)
@click.option(
    "--lighthouse",
    type=REPORTS,
    multiple=True,
    metavar="FILE",
    help="Lighthouse's JSON, or Lighthouse CI's manifest. Of several the least counts.",
)
@click.option("--lint-pass/--no-lint-pass", default=None, help="Whether the linter found nothing.")
@click.option("--type-check/--no-type-check", default=None, help="Whether the type checker found nothing.")
@click.option(
    "--summary",
    "rest",
    type=REPORTS,
    metavar="FILE",
    help="A summary in JSON, to which all others are added.",
)
@edge.as_json
@edge.config
def finish(run_id: UUID, *, as_json: bool, config: Path | None, **reports: Any) -> None:  # noqa: ANN401 - as Reports
    """End a run: hold its reports against the sprint's Definition of Done.

    What is asked for and not reported counts as missed. To finish again with the same result changes nothing.

    \b
    Examples:
      specpost ci finish "$run" --junit junit.xml --coverage coverage.xml --lint-pass
      specpost ci finish "$run" --e2e playwright.json --lighthouse lh.json
    """
    from daemon.commands import running
    from daemon.reports.summary import Reports, summary
    from db import runs

    with _explained():
        made = summary(Reports(**reports))
    with _connection(config) as conn:
        said = runs.finish(conn, run_id, made)
    with _explained():
        passed = running.tell_finish(said, as_json=as_json)
    sys.exit(not passed)


COMMANDS = (ci,)
