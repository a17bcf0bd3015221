"""Slow changes at a camera, tested sequentially."""
