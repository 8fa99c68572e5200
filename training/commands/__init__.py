"""The sub-commands of `edge-train`, one file each: their options, and the call of the module that does the work."""
