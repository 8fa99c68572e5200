"""Losses, one file per noun."""
