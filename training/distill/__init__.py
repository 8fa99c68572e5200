"""Teachers to student: labels of unlabelled pictures by our own models and by segmenters, and smaller encoders."""
