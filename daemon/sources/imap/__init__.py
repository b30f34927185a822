"""Mail out of IMAP mailboxes: each has an account, and a watch that holds a session with its server.

The code beside it, from the outside in: a ``watch`` keeps a ``session`` for an
``account`` and begins anew after ``trouble``; through it a ``mailbox`` is
looked at, and what is new goes to the intake in ``slices``.
"""
