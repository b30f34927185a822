"""Fetch one, read it, insert it, commit, flag it, and on to the next: what the naive loop runs."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import imapclient
import mailparser
import psycopg
import yaml

_INSERT = "insert into specs (message_id, sender, subject, repo, raw, spec) values (%s, %s, %s, %s, %s, %s)"


def main(host: str, port: str, user: str, password: str, database: str) -> None:
    """Drain a mailbox."""
    with imapclient.IMAPClient(host, int(port), ssl=False) as client, psycopg.connect(database) as conn:
        client.login(user, password)
        client.select_folder("INBOX")
        for uid in client.search(["UNSEEN"]):
            raw = client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"]
            conn.execute(_INSERT, _row(raw))
            conn.commit()
            client.add_flags([uid], [imapclient.SEEN])


def _row(raw: bytes) -> tuple[Any, ...]:
    mail = mailparser.parse_from_bytes(raw)
    attached = next(each for each in mail.attachments if each["filename"].endswith((".yaml", ".yml")))
    payload = attached["payload"]
    spec = yaml.safe_load(base64.b64decode(payload) if attached["binary"] else payload)
    sender = mail.from_[0][1]
    return mail.message_id, sender, mail.subject, spec["meta"]["repo"], raw, json.dumps(spec)


if __name__ == "__main__":
    main(*sys.argv[1:])
