"""One mail on standard input, from Postfix's pipe(8): the whole job in a process of its own."""

from __future__ import annotations

import sys

from tests.bench.rivals.naive_job import NaiveJob


def main(database_url: str, folder: str, mail_from: str, *rcpt_to: str) -> None:
    """Do the job; Postfix keeps what fails."""
    NaiveJob(database_url, folder).do(sys.stdin.buffer.read(), mail_from, rcpt_to)


if __name__ == "__main__":
    main(*sys.argv[1:])
