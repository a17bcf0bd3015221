"""What lies beside the models of a Triton repository, so that whoever gets it knows how to use it."""

from collections.abc import Mapping
from importlib import resources

_GUIDE = """\
# Models for the Triton Inference Server, written by pcedge

| ask for | which runs |
|---|---|
{models}

    docker run --rm --gpus all -e NVIDIA_TF32_OVERRIDE=0 -p 8000:8000 -p 8001:8001 \\
        -v "$PWD":/models nvcr.io/nvidia/tritonserver:YY.MM-py3 tritonserver --model-repository=/models

    pip install numpy pillow 'tritonclient[http]'
    python client.py part.png --model {example}

Without a GPU leave out `--gpus all`. `NVIDIA_TF32_OVERRIDE=0` keeps float32 what it is: with TF32, scores
differ from those that the threshold was found with. `YY.MM` is a release of the server; a TensorRT engine
(`model.plan`) needs the one with the TensorRT version that it was built with, and the GPU it was built on.

A client sends `images`, float32 [n, 3, s, s]: images preprocessed as the parameter `pcedge` of the model's
configuration says (also in `1/metadata.json`). It gets, an image, `score` [1], `squared_distances` and `rows`
[patches]. A score above `threshold` is NG, one that is not a finite number is INVALID, never OK. `client.py`
does all of that.
"""


def guide_files(models: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Texts by file name: a page to read, and a client to start from.

    Args:
        models: For each product, the models that work for it, in their order.
    """
    table = "\n".join(f"| `{name}` | `{'`, then `'.join(steps)}` |" for name, steps in models.items())
    return {
        "README.md": _GUIDE.format(models=table, example=next(iter(models))),
        "client.py": resources.files("pcedge.deployment.triton")
        .joinpath("client.py")
        .read_text(encoding="utf-8"),
    }
