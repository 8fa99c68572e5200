"""What the daemon says: results as messages, what waits, and the thread that publishes it."""
