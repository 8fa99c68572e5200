"""Geometry as pure functions of arrays (numpy; polygons with shapely): no I/O, no state."""
