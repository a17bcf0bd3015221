"""Size and shape of the code: what a stranger meets who opens the repository."""
