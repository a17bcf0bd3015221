"""``pcedge export`` of a bundle of another method than PatchCore."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcedge.methods import AnyBundle, Exported


def export_one(bundle: "AnyBundle", json: bool) -> None:
    """Export the bundle and print the result."""
    from pcedge.cli.console import Facts, model_option, out, progress_bars, say
    from pcedge.methods import method_for

    method = bundle.manifest.method
    with progress_bars() as progress:
        result: Exported[AnyBundle] = method_for(bundle).export(bundle, progress)
    exported = result.bundle
    if json:
        from json import dumps

        facts = {"bundle": str(exported.directory), "method": method, "difference": result.difference}
        print(dumps({**facts, "file": result.file, "bytes": exported.nbytes}))
        return
    table = Facts(f"Exported {exported.directory}")
    table.add("method", method)
    table.add("file", result.file)
    table.add("difference", f"{result.difference:.1e} of the largest score, on the golden frames")
    table.add("bundle", f"{exported.nbytes / 1e6:,.1f} MB")
    out.print(table)
    say("Next: [bold]pcedge watch --camera 0{model}[/]", model=model_option(exported.directory))
