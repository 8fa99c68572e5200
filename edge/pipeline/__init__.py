"""Frames to results: what runs when, in which batch, on which engine."""
