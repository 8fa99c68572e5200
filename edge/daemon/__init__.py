"""Wiring and supervision of every part."""
