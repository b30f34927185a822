"""specpost turns a mailed specification into planned work.

A source (``sources/``) turns bytes on a wire into an Envelope. ``intake``
has it read in a child process (``reading``: ``mail``, ``spec``,
``planning``), has it judged whether its sender may (``proving``: ``resolver``
asks, ``trust`` weighs), stores the bytes and records everything in one
transaction (``ledger``: ``storage``, ``db``), and hands an Outcome back to the
source, which answers in its own words.
"""
