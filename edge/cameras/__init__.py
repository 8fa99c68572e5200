"""Cameras: sources of frames, each captured in a child process."""
