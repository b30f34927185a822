"""What the commands do beside running the daemon; ``cli.py`` says when."""
