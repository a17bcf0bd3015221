"""Sinks that send to other machines: MQTT, webhook and Modbus."""
