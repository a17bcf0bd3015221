"""Everything to be measured on the day that there is a GPU; without one, what a processor can do of it."""
