"""The configuration: what its keys mean, the file they stand in."""
