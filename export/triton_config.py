"""Model configurations (``config.pbtxt``) of the Triton Inference Server."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Platform = Literal["onnxruntime_onnx", "tensorrt_plan"]
# Of the text form of protobuf: a message has fields, a repeated field several values.
_Value: TypeAlias = "str | int | Enum | Mapping[str, _Value] | Sequence[_Value]"

MODEL_FILES: dict[Platform, str] = {"onnxruntime_onnx": "model.onnx", "tensorrt_plan": "model.plan"}
# How long a request may wait for others to be computed with: nothing beside a frame's milliseconds.
_QUEUE_DELAY_US = 100


class Enum(str):
    """A name of an enumeration, which stands without quotation marks."""

    __slots__ = ()


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, its shape without the batch, and its type as Triton calls it."""

    name: str
    dims: tuple[int, ...]
    data_type: Literal["TYPE_FP32", "TYPE_INT64"] = "TYPE_FP32"


@dataclass(frozen=True)
class Step:
    """One model of several that work one after the other; tensors keep their names throughout."""

    model: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def model_config(
    name: str, platform: Platform, inputs: Sequence[Tensor], outputs: Sequence[Tensor], *, max_batch: int
) -> str:
    """Configure a network: requests are batched, and the slow first runs happen before it is ready.

    Args:
        name: The model's, and its directory's.
        platform: What runs it. Triton takes a GPU if there is one; an engine needs one.
        inputs: What it is given.
        outputs: What it returns.
        max_batch: Most images a call.
    """
    kind = Enum("KIND_GPU" if platform == "tensorrt_plan" else "KIND_AUTO")
    return _text(
        {
            "name": name,
            "platform": platform,
            "max_batch_size": max_batch,
            "input": [_tensor(one) for one in inputs],
            "output": [_tensor(one) for one in outputs],
            "instance_group": [{"count": 1, "kind": kind}],
            "dynamic_batching": {"max_queue_delay_microseconds": _QUEUE_DELAY_US},
            "model_warmup": [_warm_up(inputs, size) for size in sorted({1, max_batch})],
        }
    )


def ensemble_config(
    name: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    steps: Sequence[Step],
    *,
    max_batch: int,
    parameters: Mapping[str, str],
) -> str:
    """Configure models that work one after the other as one; between them, tensors stay on the server.

    Args:
        name: The model's, and its directory's.
        inputs: What the first is given.
        outputs: What is returned in the end.
        steps: The models in their order.
        max_batch: Most images a call.
        parameters: Parameters that clients can read from the server.
    """
    return _text(
        {
            "name": name,
            "platform": "ensemble",
            "max_batch_size": max_batch,
            "input": [_tensor(one) for one in inputs],
            "output": [_tensor(one) for one in outputs],
            "ensemble_scheduling": {"step": [_step(one) for one in steps]},
            "parameters": [
                {"key": key, "value": {"string_value": value}} for key, value in parameters.items()
            ],
        }
    )


def _tensor(tensor: Tensor) -> _Value:
    return {"name": tensor.name, "data_type": Enum(tensor.data_type), "dims": list(tensor.dims)}


def _step(step: Step) -> _Value:
    return {
        "model_name": step.model,
        "model_version": -1,
        "input_map": [{"key": name, "value": name} for name in step.inputs],
        "output_map": [{"key": name, "value": name} for name in step.outputs],
    }


def _warm_up(inputs: Sequence[Tensor], batch: int) -> _Value:
    values: list[_Value] = [
        {
            "key": tensor.name,
            "value": {
                "data_type": Enum(tensor.data_type),
                "dims": list(tensor.dims),
                "random_data": Enum("true"),
            },
        }
        for tensor in inputs
    ]
    return {"name": f"batch of {batch}", "batch_size": batch, "inputs": values}


def _text(message: Mapping[str, _Value], indent: str = "") -> str:
    return "".join(_field(name, value, indent) for name, value in message.items())


def _field(name: str, value: _Value, indent: str) -> str:
    if isinstance(value, Enum):
        return f"{indent}{name}: {value}\n"
    if isinstance(value, str):
        return f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}\n"
    if isinstance(value, int):
        return f"{indent}{name}: {value}\n"
    if isinstance(value, Mapping):
        return f"{indent}{name} {{\n{_text(value, indent + '  ')}{indent}}}\n"
    return "".join(_field(name, one, indent) for one in value)
