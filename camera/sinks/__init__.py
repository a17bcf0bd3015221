"""Sinks for events and images, and their delivery without blocking the inspection."""
