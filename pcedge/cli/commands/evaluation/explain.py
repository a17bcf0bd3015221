"""``pcedge explain``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.options import common, panels
from pcedge.cli.options.old_forms import Second, bundle_and_one
from pcedge.core.defaults import DEFAULT_MODELS
from pcedge.errors import OptionError

if TYPE_CHECKING:
    from pcedge.inspection.explain import Explained


def explain(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="The image to judge.",
            show_default=False,
        ),
    ],
    second: Second = None,
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    threshold: common.Threshold = None,
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="With the bundle's second threshold: between the two a part is REVIEW.",
            rich_help_panel=panels.THRESHOLD,
        ),
    ] = False,
    runtime: common.Runtime = "auto",
    device: common.Device = "auto",
    precision: common.Precision = "fp32",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where the sheet goes, a .png or .jpg: image, heatmap, and every region beside the "
            "nearest normal patch. Without it, <image>-explained.png in the working directory.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    json: common.Json = False,
) -> None:
    """Judge one image and show why: each region that stands out, beside the nearest normal patch.

    Under each pair stands how far apart the two are, as a multiple of how far normal patches like that one
    are from each other; up to about 1 is normal. Needs no PyTorch once the bundle is exported. An image
    that is OK is explained too: by its most unusual place.
    """
    from pcedge.inspection.explain import explain as explain_picture
    from pcedge.inspection.precision import one_precision
    from pcedge.inspection.runtimes import runtime_kind
    from pcedge.methods.any_bundle import find_any_bundle, has_exported_network, open_detector

    named, path = bundle_and_one(image, second, model, models, "image")
    if path.is_dir():
        raise OptionError(f"{path} is a folder, and an image is needed.", "Use: pcedge explain IMAGE")
    bundle = find_any_bundle(named, models)
    kind = runtime_kind(runtime)
    if kind == "auto" and not has_exported_network(bundle):
        kind = "torch"
    with open_detector(
        bundle,
        runtime=kind,
        device=device,
        precision=one_precision(precision),
        threshold=threshold,
        review=review,
    ) as detector:
        explained = explain_picture(detector, path)
        sheet = output or Path(f"{path.stem}-explained.png")
        explained.write_sheet(sheet)
    if json:
        print(explained.to_json(sheet))
    else:
        _print(explained, sheet)


def _print(explained: "Explained", sheet: Path) -> None:
    from pcedge.cli.console import Facts, out, say

    found = explained.inspection
    table = Facts(explained.frame.name)
    table.add("verdict", found.verdict.value)
    table.add("score", f"{found.score:.4g}, threshold {found.threshold:.4g}")
    if found.p_value is not None:
        table.add("p-value", f"{found.p_value:.2g}: of good parts, the share that scores as much or more")
    for number, one in enumerate(found.explain(), 1):
        x, y, width, height = one.patch_xywh
        times = "" if one.times_typical is None else f": {one.times_typical:.1f} times the typical distance"
        text = f"at {x + width // 2}, {y + height // 2}{times}; nearest normal: {one.image} at "
        text += ", ".join(map(str, one.normal_xy))
        table.add(f"place {number}", text + (f" ({one.missing})" if one.missing else ""))
    out.print(table)
    say("Written to [bold]{sheet}[/].", sheet=sheet)
