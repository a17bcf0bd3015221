"""What a watched folder holds, what changes in it, and who is still writing."""
