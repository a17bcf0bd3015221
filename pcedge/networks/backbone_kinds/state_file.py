"""Weights read from files, without ever running what is in them."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from pcedge.errors import WeightsError


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a plain state dict (``.pth``, ``.pt`` or ``.safetensors``) without ever unpickling objects."""
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path}.", "Check the path given to --weights.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise a dozen kinds for a damaged file
        if "TorchScript" in str(error):
            raise WeightsError(
                f"{path} is a TorchScript archive, a program with weights, and is not run.",
                "OpenAI's CLIP files are such: take the safetensors file open_clip loads, or convert one "
                "that you trust with torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE).",
            ) from error
        raise WeightsError(
            f"{path} is not a readable state dict ({type(error).__name__}).",
            "Expected a file written by torch.save(model.state_dict(), ...) or a .safetensors file; "
            "files that would have to be unpickled are refused.",
        ) from error
    if not isinstance(loaded, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    ):
        raise WeightsError(
            f"{path} holds {type(loaded).__name__}, not a state dict of tensors.",
            "Save the weights with torch.save(model.state_dict(), ...).",
        )
    return loaded
