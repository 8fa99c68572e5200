"""Fixtures for all tests."""

from tests.brokers import embedded, mosquitto, subscribe
from tests.strict_broker import strict

__all__ = ["embedded", "mosquitto", "strict", "subscribe"]
