"""The commands: the only part that talks to people."""
