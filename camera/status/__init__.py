"""Status of an inspection: Prometheus metrics and health endpoints."""
