"""Ask a Triton Inference Server about images. Copied into every repository that pcedge writes.

    pip install numpy pillow 'tritonclient[http]'
    python client.py part.png --model bottle --url localhost:8000

What the server is sent and how its answer is read comes from the server itself (the parameter ``pcedge`` of
the model's configuration); this file needs nothing of pcedge.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def preprocess(image: Image.Image, rule: dict[str, Any]) -> NDArray[np.float32]:
    """Turn an image into the network's input, float32 [3, s, s], just as pcedge does.

    Args:
        image: An image of any size and mode.
        rule: ``preprocessing`` of the model's metadata.
    """
    image = image.convert("RGB")
    size, crop = rule["image_size"], rule["crop"]
    if crop is None:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    else:
        shorter = min(image.size)
        width, height = (int(size * side / shorter) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = round((width - crop) / 2), round((height - crop) / 2)
        image = image.crop((left, top, left + crop, top + crop))
    mean, std = np.float32(rule["mean"]), np.float32(rule["std"])
    normalised = np.asarray(image) * (1 / (255 * std)) - mean / std
    return np.ascontiguousarray(normalised.transpose(2, 0, 1), np.float32)


def verdict(score: float, threshold: float) -> str:
    """``OK``, ``NG``, or ``INVALID`` for a score that is not a number."""
    if not math.isfinite(score):
        return "INVALID"
    return "NG" if score > threshold else "OK"


def inspect(client: Any, model: str, image: Image.Image) -> dict[str, Any]:
    """Send an image to the server.

    Args:
        client: A ``tritonclient.http.InferenceServerClient``.
        model: Name of the model, the product's.
        image: The image.

    Returns:
        Verdict, score, threshold, and ``squared_distances`` on the grid of patches, the largest of
            which is the score.
    """
    from tritonclient.http import InferInput

    config = client.get_model_config(model)
    metadata = json.loads(config["parameters"]["pcedge"]["string_value"])
    batch = preprocess(image, metadata["preprocessing"])[np.newaxis]
    images = InferInput("images", list(batch.shape), "FP32")
    images.set_data_from_numpy(batch)
    answer = client.infer(model, [images])
    score = float(answer.as_numpy("score")[0, 0])
    return {
        "verdict": verdict(score, metadata["threshold"]),
        "score": score,
        "threshold": metadata["threshold"],
        "squared_distances": answer.as_numpy("squared_distances")[0].reshape(metadata["grid_hw"]),
    }


def main() -> None:
    """Ask about the images named on the command line, and print one JSON line each."""
    from tritonclient.http import InferenceServerClient

    parser = argparse.ArgumentParser(description="Ask a Triton Inference Server about images.")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--model", required=True, help="the product")
    parser.add_argument("--url", default="localhost:8000", help="host and port of the server's HTTP service")
    options = parser.parse_args()
    client = InferenceServerClient(options.url)
    for path in options.pictures:
        with Image.open(path, formats=["BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]) as image:
            found = inspect(client, options.model, ImageOps.exif_transpose(image))
        del found["squared_distances"]
        print(json.dumps({"picture": str(path), **found}))


if __name__ == "__main__":
    main()
