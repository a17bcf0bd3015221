"""Benchmarks anyone can run from a checkout; not installed.

``python -m benchmarks.coreset``, ``python -m benchmarks.embedding`` and ``python -m benchmarks.fit DATASET``
print a table, or JSON with ``--json``. Progress goes to standard error.
"""
