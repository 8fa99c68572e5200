"""The wire, in either direction: connection, topics, messages."""
