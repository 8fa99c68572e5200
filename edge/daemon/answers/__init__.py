"""Requests that the daemon answers, one file a verb."""
