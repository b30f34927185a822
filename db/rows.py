"""Many rows in one statement: they travel as one JSON array and are typed by the table they go to."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, LiteralString

import orjson
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Sequence


def insert_into(table: str, row: type, tail: LiteralString = "", **computed: LiteralString) -> bytes:
    """The statement that inserts any number of ``row`` dataclasses, in their order.

    ``table`` is ``schema.name``; each field of ``row`` is a column; ``tail``
    follows, such as ``on conflict …``. Its one parameter is ``payload(rows)``.
    ``computed`` are further columns, each an expression over a row ``r``.
    """
    name = sql.Identifier(*table.split("."))
    columns = [sql.Identifier(field.name) for field in fields(row)]
    statement = sql.SQL(
        "insert into {name} ({columns})"
        " select {values} from json_populate_recordset(null::{name}, %s) r {tail}"
    )
    return statement.format(
        name=name,
        columns=sql.SQL(", ").join([*columns, *map(sql.Identifier, computed)]),
        values=sql.SQL(", ").join([*columns, *map(sql.SQL, computed.values())]),
        tail=sql.SQL(tail),
    ).as_bytes(None)


def payload(rows: Sequence[object]) -> str:
    """Rows as the parameter of ``insert_into``'s statement; UUIDs and times as text."""
    try:
        return orjson.dumps(rows).decode()
    except TypeError:  # an integer beyond 64 bits, which a Definition of Done may hold
        return json.dumps(rows, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a row
    if isinstance(value, orjson.Fragment):
        return json.loads(value.contents)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)
