"""``python -m pcedge``."""

from pcedge.cli import main

main()
