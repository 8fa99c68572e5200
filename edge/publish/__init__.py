"""MQTT: topics, payloads, the client and the embedded broker."""
