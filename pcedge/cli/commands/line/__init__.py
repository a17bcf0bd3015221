"""Commands that run at the line and look after it."""
