"""Continuous depth, room layout and lighting from cameras, published over MQTT."""

__version__ = "0.1.0"
