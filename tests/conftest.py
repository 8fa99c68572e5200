"""Fixtures for all tests."""

from tests.brokers import embedded, mosquitto, subscribe

__all__ = ["embedded", "mosquitto", "subscribe"]
