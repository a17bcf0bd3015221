"""Shared by the reconstruction methods, which score how an image differs from its reconstruction."""
