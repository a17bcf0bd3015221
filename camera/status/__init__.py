"""How an inspection is doing: metrics and health."""
