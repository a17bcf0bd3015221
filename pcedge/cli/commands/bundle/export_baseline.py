"""``pcedge export`` of a bundle of another method than PatchCore."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcedge.methods import BaselineBundle


def export_one(bundle: "BaselineBundle", json: bool) -> None:
    """Export the bundle and print what was made."""
    from pcedge.cli.console import Facts, model_option, out, progress_bars, say
    from pcedge.methods import DETECTOR_FILE, export_baseline

    method = bundle.manifest.method
    with progress_bars() as progress:
        exported, difference = export_baseline(bundle, progress)
    if json:
        from json import dumps

        facts = {"bundle": str(exported.directory), "method": method, "difference": difference}
        print(dumps({**facts, "file": DETECTOR_FILE, "bytes": exported.nbytes}))
        return
    table = Facts(f"Exported {exported.directory}")
    table.add("method", method)
    table.add("file", DETECTOR_FILE)
    table.add("difference", f"{difference:.1e} of the largest score, on the golden frames")
    table.add("bundle", f"{exported.nbytes / 1e6:,.1f} MB")
    out.print(table)
    say("Next: [bold]pcedge watch --camera 0{model}[/]", model=model_option(exported.directory))
