"""Kinds of runtime that can run a bundle's embedder, one file each."""
