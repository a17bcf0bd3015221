"""Approximate indexes of a bank: compared, stored, chosen."""
