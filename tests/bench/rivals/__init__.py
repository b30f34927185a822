"""What people use today; each file is one of them: what it needs, and how it drains a mailbox."""
