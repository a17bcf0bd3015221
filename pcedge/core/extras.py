"""Checks for optional dependencies, made before any work starts."""

from importlib import import_module

from pcedge.errors import MissingExtraError


def require_torch(feature: str) -> None:
    """Check that PyTorch is installed, before anything is read or written.

    Args:
        feature: What needs it, as the beginning of a sentence.

    Raises:
        MissingExtraError: PyTorch is not installed; the message says how to install it.
    """
    try:
        import_module("torch")
    except ImportError:
        raise MissingExtraError("torch", "fit", feature) from None
