"""Network streams, snapshots and video files through PyAV, that is FFmpeg."""
