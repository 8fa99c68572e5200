"""A camera's height, tilt and lens from what its pictures show: vertical edges, a board, a length that is known.

Everything is worked out in the camera's own axes (OpenCV's: x right, y down, z forward), with unit rays in place of
pixels, so that it holds for any lens. Pixels are continuous, the first one's centre at 0.5.
"""
