"""Mutated inputs for everything that is read: see ``__main__``."""
