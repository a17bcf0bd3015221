"""What several folders need: pauses, priorities, credentials, connections, databases."""
