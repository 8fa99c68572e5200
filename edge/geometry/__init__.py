"""Pure numpy geometry: no I/O, no state."""
