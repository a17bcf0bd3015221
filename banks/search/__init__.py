"""Nearest-neighbour search: exact, and reranking of approximate candidates."""
