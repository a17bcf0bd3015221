"""Shared helpers: addresses, back-off, credentials, MQTT client, thread priority, SQLite files."""
