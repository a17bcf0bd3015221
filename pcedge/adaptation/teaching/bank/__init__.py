"""A bank that is taught: rows that are added, give way, and come back."""
