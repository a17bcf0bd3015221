"""Conversion of networks to half precision and int8."""
