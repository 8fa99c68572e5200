"""Further values from scene values; pure."""
