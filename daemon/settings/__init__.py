"""The settings: one class per TOML table, each field described, all checked at start.

The descriptions are the manual: the README's table and the example
configuration are held to them. Plain pydantic over tomllib, because
pydantic-settings costs 0.3 s to import and can't say which line, variable or
credential a wrong value came from.

The keys are a promise to every installation's file: each is named for what
the operator means, never for the part that uses it today, and an unknown one
is refused, because a misspelt limit is else found only when it is needed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from daemon.settings.agreement import disagreements
from daemon.settings.complaint import NAME, complaints, lines
from daemon.settings.dns import Dns
from daemon.settings.given import SettingsError, gather
from daemon.settings.imap import ACCOUNT, Imap
from daemon.settings.kind import (
    FLAG,
    FOLDER,
    GIB,
    MIB,
    Kind,
    choice,
    count,
    duration,
    matching,
    number,
    size,
)
from daemon.settings.listen import Listen
from daemon.settings.model import Table
from daemon.settings.oauth import Vault
from daemon.settings.retention import Retention
from daemon.settings.senders import BRANCH, REPO, RULE, Sender
from daemon.settings.smtp import Smtp
from daemon.settings.storage import Storage
from daemon.spec.model import DefinitionOfDone
from daemon.text import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationInfo
    from pydantic.fields import FieldInfo

    from daemon.settings.given import Key

__all__ = ["Imap", "Listen", "Sender", "Settings", "SettingsError", "Smtp", "describe", "load", "table"]

_POSTGRES = r"postgres(?:ql)?://\S+"


def _database(allowed: str, pattern: str) -> Kind:
    return Kind(allowed, matching(pattern, allowed).read, redact, secret=True)


class Database(Table):
    """Where the control plane is."""

    url: Annotated[
        str, _database('"embedded" or a PostgreSQL URL, "postgresql://…"', f"embedded|{_POSTGRES}")
    ] = Field(
        default="embedded",
        repr=False,
        description="The control plane's PostgreSQL; `embedded` runs one of its own under `state_dir`.",
    )
    listen_url: Annotated[str | None, _database('a PostgreSQL URL, "postgresql://…"', _POSTGRES)] = Field(
        default=None,
        repr=False,
        description="A direct connection for LISTEN, where `url` goes through a transaction pooler.",
    )
    cleanup_url: Annotated[str | None, _database('a PostgreSQL URL, "postgresql://…"', _POSTGRES)] = Field(
        default=None,
        repr=False,
        description="The login that `specpost cleanup` works as; the daemon's may delete nothing.",
    )


class Routing(Table):
    """Where work goes that a mail names no repository for."""

    repo: Annotated[str | None, REPO] = Field(
        default=None, description="The repository of a specification that names none."
    )
    branch: Annotated[str, BRANCH] = Field(
        default="main", description="The branch of a specification that names none."
    )


class DefaultDod(DefinitionOfDone):
    """The Definition of Done that lies under each sprint's own.

    Unlike a specification's, it is closed: a key nobody checks would be a
    promise to every sprint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage_min: Annotated[float | None, number(0, 1)] = Field(
        default=0.80, description="The fraction of lines that tests must cover."
    )
    e2e_pass: Annotated[bool | None, FLAG] = Field(default=True, description="End-to-end tests must pass.")
    lighthouse_min: Annotated[float | None, number(0, 100)] = Field(
        default=85, description="The least Lighthouse score."
    )
    lint_pass: Annotated[bool | None, FLAG] = Field(
        default=None, description="The linter must find nothing; left out, nobody asks."
    )
    type_check: Annotated[bool | None, FLAG] = Field(
        default=None, description="The type checker must find nothing; left out, nobody asks."
    )


class Planning(Table):
    """How a specification becomes sprints."""

    default_dod: DefaultDod = DefaultDod.model_validate({})


class Log(Table):
    """What is told on standard error."""

    format: Annotated[Literal["auto", "console", "json"], choice("auto", "console", "json")] = Field(
        default="auto",
        description="`auto` is for people on a terminal and in the journal, and JSON elsewhere.",
    )
    level: Annotated[
        Literal["debug", "info", "warning", "error"], choice("debug", "info", "warning", "error")
    ] = Field(default="info", description="The least that is logged.")


class Readers(Table):
    """The child processes that read mails, and how far one may go."""

    processes: Annotated[int, count(1, 64)] = Field(
        default_factory=lambda: min(len(os.sched_getaffinity(0)), 64),
        description="Reader children.",
        json_schema_extra={"left_out": "the CPUs this process may use, at most 64"},
    )
    deadline: Annotated[float, duration(0.1, 60)] = Field(
        default=1.0, description="For one mail among others; what takes longer is read again alone."
    )
    slow_deadline: Annotated[float, duration(0.1, 600)] = Field(
        default=10.0, description="For one mail that is read alone; one that takes longer broke its reader."
    )
    memory: Annotated[int, size(128 * MIB, 64 * GIB)] = Field(
        default=512 * MIB, description="Address space of a reader, the mail not counted."
    )
    waiting: Annotated[int, count(1, 1000)] = Field(
        default=16, description="Mails that may wait to be read alone; beyond, the answer is: later."
    )


def _state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The StateDirectory of systemd, else the XDG base directory."""
    if folder := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(folder)
    home = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home, "specpost").expanduser().absolute()


class Settings(Table):
    """Everything an operator decides."""

    state_dir: Annotated[Path, FOLDER] = Field(
        default_factory=_state_dir,
        description="What the daemon keeps on this machine.",
        json_schema_extra={
            "left_out": "$STATE_DIRECTORY, else $XDG_STATE_HOME/specpost, else ~/.local/state/specpost"
        },
    )
    database: Database = Database()
    storage: Storage = Field(default=Storage(), validate_default=True)
    smtp: Smtp = Field(default_factory=Smtp)
    imap: dict[Annotated[str, ACCOUNT], Imap] = Field(default_factory=dict)
    oauth: Vault = Vault()
    senders: dict[Annotated[str, RULE], Sender] = Field(default_factory=dict)
    dns: Dns = Dns()
    routing: Routing = Routing()
    planning: Planning = Planning()
    retention: Retention = Retention()
    log: Log = Log()
    readers: Readers = Field(default_factory=Readers)

    @field_validator("storage")
    @classmethod
    def _under_state_dir(cls, storage: Storage, info: ValidationInfo) -> Storage:
        folder = info.data.get("state_dir")  # missing when it was itself refused
        if folder is None or storage.path is None:
            return storage
        return storage.model_copy(update={"url": f"file:{quote(str(folder / storage.path))}"})


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of ``path`` (else ``$SPECPOST_CONFIG``, else the standard file, if any).

    ``SPECPOST_<TABLE>__<KEY>`` in ``environ`` goes over the file, and a file
    ``<table>__<key>`` in ``$CREDENTIALS_DIRECTORY`` (systemd.exec(5)) over both.
    Raises SettingsError, one line for each thing that is wrong.
    """
    given = gather(path, environ)
    try:
        settings = Settings.model_validate({"state_dir": _state_dir(environ)} | given.tree)
    except ValidationError as error:
        wrong = complaints(error, given, {key: kind for key, _, kind in _fields(Settings)})
    else:
        wrong = lines(disagreements(settings), given)
        if not wrong:
            return settings
    raise SettingsError("\n".join(wrong))  # outside the handler, whose error holds the secrets


def describe(settings: BaseModel) -> dict[str, Any]:
    """The settings in effect, nested as in TOML, in the operator's units and without passwords."""
    return {
        field.alias or name: _described(field, getattr(settings, name))
        for name, field in type(settings).model_fields.items()
    }


def table() -> list[tuple[str, str, str, str]]:
    """Every key as ``(key, what is allowed, default, description)``, for the manual.

    Where the operator names a table, the key has ``NAME``.
    """
    return [
        (".".join(key), kind.allowed, _default(field, kind), field.description or "")
        for key, field, kind in _fields(Settings)
    ]


def _described(field: FieldInfo, value: object) -> object:
    if isinstance(value, BaseModel):
        return describe(value)
    if isinstance(value, dict):
        return {name: describe(each) for name, each in value.items()}
    if value is None:
        return None
    return _shown(_kind(field), value)


def _fields(model: type[BaseModel], above: Key = ()) -> Iterator[tuple[Key, FieldInfo, Kind]]:
    for name, field in model.model_fields.items():
        key = (*above, field.alias or name)
        if one := _table(field):
            yield from _fields(one, key)
        elif named := _tables(field):
            yield from _fields(named, (*key, NAME))
        else:
            yield key, field, _kind(field)


def _table(field: FieldInfo) -> type[BaseModel] | None:
    """What table the field is, which may be one that can be left out."""
    kinds = (field.annotation, *(get_args(field.annotation) if _tables(field) is None else ()))
    return next((each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _tables(field: FieldInfo) -> type[BaseModel] | None:
    """What tables are whose names are the operator's, as in ``[senders.NAME]``."""
    return get_args(field.annotation)[1] if get_origin(field.annotation) is dict else None


def _kind(field: FieldInfo) -> Kind:
    return next(each for each in field.metadata if isinstance(each, Kind))


def _shown(kind: Kind, value: object) -> object:
    return None if value is None else kind.show(value)


def _default(field: FieldInfo, kind: Kind) -> str:
    """The default as it is written in TOML; what depends on the machine in words."""
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra["left_out"])
    if field.is_required():
        return "required"
    shown = _shown(kind, field.get_default(call_default_factory=True))
    return "" if shown is None else json.dumps(shown)
