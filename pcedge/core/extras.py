"""What is installed with an extra only, asked for before the work."""

from importlib import import_module

from pcedge.errors import MissingExtraError


def require_torch(feature: str) -> None:
    """Find out that PyTorch is not installed before anything is read or written.

    Args:
        feature: What needs it, as the beginning of a sentence.

    Raises:
        MissingExtraError: It is not; the text says how to install it.
    """
    try:
        import_module("torch")
    except ImportError:
        raise MissingExtraError("torch", "fit", feature) from None
