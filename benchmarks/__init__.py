"""Benchmarks anyone can run from a checkout; not installed.

``python -m benchmarks.coreset``, ``.embedding``, ``.fit DATASET`` and ``.compact DATASET... --weights FILE``
print a table, or JSON with ``--json``. Progress goes to standard error.
"""
