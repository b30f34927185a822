"""Many rows in one statement: they travel as one JSON array and are typed by the table they go to."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable


def insert_into(table: str, row: type, tail: LiteralString = "") -> sql.Composed:
    """The statement that inserts any number of ``row`` dataclasses, in their order.

    ``table`` is ``schema.name``; each field of ``row`` is a column; ``tail``
    follows, such as ``on conflict …``. Its one parameter is ``payload(rows)``.
    """
    name = sql.Identifier(*table.split("."))
    columns = sql.SQL(", ").join(sql.Identifier(field.name) for field in fields(row))
    return sql.SQL(
        "insert into {name} ({columns})"
        " select {columns} from json_populate_recordset(null::{name}, %s) {tail}"
    ).format(name=name, columns=columns, tail=sql.SQL(tail))


def payload(rows: Iterable[object]) -> str:
    """Rows as the parameter of ``insert_into``'s statement; UUIDs and times as text."""
    plain = [{field.name: getattr(row, field.name) for field in fields(row)} for row in rows]  # type: ignore[arg-type]
    return json.dumps(plain, default=str, ensure_ascii=False)
