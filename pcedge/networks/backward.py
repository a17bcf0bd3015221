"""The backward pass of every training."""

from torch import Tensor

from pcedge.core.interrupts import interrupted_afterwards


def backward(loss: Tensor) -> None:
    """Compute the gradients of a loss; Ctrl-C waits until they are there."""
    with interrupted_afterwards():
        loss.backward()  # type: ignore[no-untyped-call]
