"""Sinks on other machines: MQTT, webhooks, Modbus."""
