"""How fast the daemon is beside what people use today: all in one run, on one machine, in ratios."""
