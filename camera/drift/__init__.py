"""Drift monitoring of a camera by sequential tests."""
