"""Public data sets, one file each, as their publishers lay them out."""
