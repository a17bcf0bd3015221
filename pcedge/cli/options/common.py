"""Options shared by several commands."""

from pathlib import Path
from typing import Annotated

import typer

from . import panels

ModelsDir = Annotated[
    Path,
    typer.Option(
        "--models",
        help="Directory that holds the bundles.",
        envvar="PCEDGE_MODELS",
        rich_help_panel=panels.MODEL,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="The bundle to use: its directory, or its name below --models. Without it, the current bundle.",
        show_default=False,
        rich_help_panel=panels.MODEL,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print machine-readable JSON instead of a table.",
        rich_help_panel=panels.OUTPUT,
    ),
]
Runtime = Annotated[
    str,
    typer.Option(
        help="What runs the network: auto, torch, onnx, tensorrt or tensorrt-rtx. "
        "auto: watch takes the fastest that is proved here, verify the first that can be had, evaluate a "
        "TensorRT engine if one was built here, otherwise the ONNX file.",
        rich_help_panel=panels.RUNTIME,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="Where it runs: auto, cpu, cuda or cuda:1; onnx also on tensorrt, whose first start takes "
        "minutes. auto takes a GPU if there is one.",
        rich_help_panel=panels.RUNTIME,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        help="Precision of the network: fp32, or fp16, int8 or int8-trt where export wrote them; auto: "
        "fp32 and those that lost no more than 0.5 points of AUROC when they were exported.",
        rich_help_panel=panels.RUNTIME,
    ),
]
Index = Annotated[
    str | None,
    typer.Option(
        "--index",
        help="How the bank is searched: exact, int8 (the same rows in less memory), or an index that "
        "pcedge index has stored. Without it, as the bundle says.",
        show_default=False,
        rich_help_panel=panels.RUNTIME,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Score above which a part is NG, instead of the bundle's own.",
        show_default=False,
        rich_help_panel=panels.THRESHOLD,
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help="How the dataset's folders are arranged: mvtec-ad, mvtec-loco, mvtec-ad2, visa (visa:NAME for "
        "another of its splits than 1cls), btad or plain. Without it, recognised by looking.",
        show_default=False,
        rich_help_panel=panels.DATA,
    ),
]
