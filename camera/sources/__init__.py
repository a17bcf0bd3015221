"""Where frames come from: cameras, streams, videos, folders, and the synthetic line."""
