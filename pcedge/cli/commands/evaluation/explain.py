"""``pcedge explain``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.options import common
from pcedge.core.defaults import DEFAULT_MODELS
from pcedge.errors import OptionError

if TYPE_CHECKING:
    from pcedge.inspection.explain import Explained


def explain(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="[BUNDLE] IMAGE",
            help="A bundle (its directory, or its name below --models; without it, the current one) and a "
            "picture.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where the sheet goes, a .png or .jpg: image, heatmap, and every region beside the "
            "nearest normal patch. Without it, <image>-explained.png in the working directory.",
            show_default=False,
        ),
    ] = None,
    runtime: common.Runtime = "auto",
    device: common.Device = "auto",
    precision: common.Precision = "fp32",
    threshold: common.Threshold = None,
    review: Annotated[
        bool,
        typer.Option(
            "--review", help="With the bundle's second threshold: between the two a part is REVIEW."
        ),
    ] = False,
    models: common.ModelsDir = DEFAULT_MODELS,
    json: common.Json = False,
) -> None:
    """Judge one image and show why: each region that stands out, beside the nearest normal patch.

    Under each pair stands how far apart the two are, as a multiple of how far normal patches like that one
    are from each other; up to about 1 is normal. Needs no PyTorch once the bundle is exported. An image
    that is OK is explained too: by its most unusual place.
    """
    from pcedge.bundles.bundle import bundle_names
    from pcedge.inspection.explain import explain as explain_picture
    from pcedge.inspection.precision import one_precision
    from pcedge.inspection.runtimes import runtime_kind
    from pcedge.methods import find_any_bundle, open_detector

    if len(targets) > 2:
        raise OptionError(
            f"{len(targets)} names were given, one or two are needed.", "Use: pcedge explain [BUNDLE] IMAGE"
        )
    *bundles, image = targets
    if Path(image).is_dir() or (not bundles and image in bundle_names(models) and not Path(image).exists()):
        raise OptionError(
            f"{image} is {'a folder' if Path(image).is_dir() else 'a bundle'}, and an image is needed.",
            "Use: pcedge explain [BUNDLE] IMAGE",
        )
    bundle = find_any_bundle(bundles[0] if bundles else None, models)
    kind = runtime_kind(runtime)
    if kind == "auto" and not bundle.is_exported:
        kind = "torch"
    with open_detector(
        bundle,
        runtime=kind,
        device=device,
        precision=one_precision(precision),
        threshold=threshold,
        review=review,
    ) as detector:
        explained = explain_picture(detector, Path(image))
        sheet = output or Path(f"{Path(image).stem}-explained.png")
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
