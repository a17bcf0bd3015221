"""Sources of frames: cameras, network streams, videos, folders and the synthetic camera."""
