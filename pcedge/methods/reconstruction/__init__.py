"""What the methods share that learn to draw good images anew and score what they cannot draw."""
