"""Training data: transforms, one file per source, and rendered rooms in `synthetic`."""
