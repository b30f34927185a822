"""specpost turns a mailed specification into planned work.

A source (``sources/``) turns bytes on a wire into an Envelope. ``intake``
has it read in a child process (``reading``: ``mail``, ``spec``,
``planning``), judges whether its sender may (``trust``), stores the bytes
(``storage``), records everything in one transaction (``db``), and hands an
Outcome back to the source, which answers in its own words.
"""
