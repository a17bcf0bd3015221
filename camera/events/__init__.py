"""What is recorded of an inspected frame."""
