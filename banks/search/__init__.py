"""The nearest row of each embedding, exactly."""
