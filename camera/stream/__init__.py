"""Stream: the frames of one or several sources as one iterator."""
