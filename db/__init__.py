"""The control plane's database: its schema, its rights, and what is said to it."""
