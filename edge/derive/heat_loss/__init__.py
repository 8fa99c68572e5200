"""What a room loses at the design temperature outside, and what heats it: pure formulas, no files, no state."""
