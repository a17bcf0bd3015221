"""Network streams, addresses of single images, and video files."""
