"""Metrics, one file per noun."""
