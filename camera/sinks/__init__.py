"""Where verdicts go: what every sink promises, and how events reach it without holding up the inspection."""
