"""Commands that run at the line: watch, service, doctor, demo."""
