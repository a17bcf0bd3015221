"""How fast and how accurately a bundle judges on this machine."""
