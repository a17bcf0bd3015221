"""A line that is watched: its description, its cameras, what judges them, how its status is reported."""
