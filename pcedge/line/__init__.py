"""Inspection lines: configuration, cameras, inspectors, watching, status and the systemd service."""
