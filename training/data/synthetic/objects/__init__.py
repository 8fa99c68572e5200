"""Single things, rendered: one segmented picture of each with its exact occupancy and colours.

The canonical frame of a thing: y up, front towards +z, in a cube of side 1 about the origin; grids have axes x, y, z.
"""

GRID = 32
"""Cells of a grid along each axis."""
EXTENT = 1.0
"""Side of the cube that a grid fills."""
CROP_PX = 96
"""Side of the square picture of a thing."""
LONGEST = 0.95
"""Longest side of a thing in its cube: the rest is a margin of empty cells."""
