"""Lightning modules, one file per noun: a network, its loss and its validation metrics."""
