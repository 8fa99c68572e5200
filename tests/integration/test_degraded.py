"""What serves less than was asked for is said wherever somebody may look: health, events, info, every result."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from edge.inference.trt.gpu import has_nvidia_gpu
from tests.brokers import Mosquitto, Subscriber
from tests.integration.conftest import PERSPECTIVE, Starter, check_message


def test_a_fallback_is_loud(
    daemon: Starter, mosquitto: Callable[..., Mosquitto], subscribe: Callable[..., Subscriber]
) -> None:
    """Asked for CUDA where there is none, results come all the same, and say what served and why."""
    if has_nvidia_gpu():
        pytest.skip("this machine may have what is asked for")
    broker = mosquitto()
    subscriber = subscribe(broker.port)
    daemon(
        cameras=[{**PERSPECTIVE, "tasks": ["lighting"]}],
        mqtt={"host": "127.0.0.1", "port": broker.port},
        health={"every_s": 1.0},
        inference={"backend": "ort-cuda"},
    )
    result = subscriber.wait("edge/test/perspective/lighting", timeout_s=60)[-1]
    health = subscriber.wait("edge/test/bridge/health", timeout_s=20)[-1]
    for message in list(subscriber.received):
        check_message(message.topic, message.payload)
    said = "asked for ort-cuda fp32, serves CPUExecutionProvider"
    assert any(why.startswith(said) for why in json.loads(result.payload)["degraded"])
    assert any(f"engine lighting: {said}" in why for why in json.loads(health.payload)["degraded"])
    events = [json.loads(message.payload) for message in subscriber.on("edge/test/bridge/event")]
    assert {"engine": "lighting"} in [event["data"] for event in events if event["type"] == "engine_degraded"]
    info = json.loads(subscriber.wait("edge/test/bridge/info")[-1].payload)
    assert info["engines"][0]["backend"].startswith("CPUExecutionProvider ")
