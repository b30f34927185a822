"""What of a new configuration takes effect while the service runs, and what only at its next start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from daemon.settings import SettingsError
from daemon.settings.agreement import disagreements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.settings import Settings

#: The tables that take effect at once, and of [smtp] the keys. All else is built into what runs: sockets,
#: connections, leases.
LIVE = ("senders", "routing", "planning", "log")
LIVE_SMTP = ("recipients", "relays", "authserv_id", "sender_rate")


def merged(old: Settings, new: Settings) -> Settings:
    """The settings by which a service goes on that was started with ``old``.

    Raises:
        SettingsError: what takes effect doesn't agree with what doesn't.
    """
    smtp = old.smtp.model_copy(update={key: getattr(new.smtp, key) for key in LIVE_SMTP})
    taken = old.model_copy(update={"smtp": smtp} | {table: getattr(new, table) for table in LIVE})
    wrong = [f"{'.'.join(key)}: {words}" for key, words in disagreements(taken)]
    if old.senders and not new.senders:  # who may listen where was decided by their being there
        wrong.append("senders: without any, mail is taken from everybody here; that needs a restart")
    if wrong:
        raise SettingsError("\n".join(wrong))
    return taken


def changed(old: BaseModel, new: BaseModel) -> list[str]:
    """The keys that differ, as ``table.key``."""
    return [".".join(key) for key in _changed(_tree(old), _tree(new))]


def _tree(value: Any) -> Any:  # noqa: ANN401 - a table or what is in it
    """Tables as mappings, all the way down."""
    if isinstance(value, BaseModel):
        return {
            field.alias or name: _tree(getattr(value, name))
            for name, field in type(value).model_fields.items()
        }
    if isinstance(value, dict):
        return {name: _tree(each) for name, each in value.items()}
    return value


def _changed(old: Any, new: Any) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 - as above
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield ()
        return
    for name in dict.fromkeys([*old, *new]):
        if name not in old or name not in new:
            yield (name,)
        else:
            yield from ((name, *rest) for rest in _changed(old[name], new[name]))
