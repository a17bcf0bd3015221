"""The reference pages of the documentation, generated from the code.

``python -m benchmarks.reference`` writes them into ``docs/reference``; with ``--check`` it only says which
are out of date.
"""
