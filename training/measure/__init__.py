"""Measuring a model the way the device runs it, one file per noun; each set of data beside its trivial baselines."""
