"""Output of ``pcedge teach``."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from pcedge.adaptation.teaching import LogEntry, TeachResult
    from pcedge.bundles.bundle import Bundle


def print_result(result: "TeachResult", json: bool) -> None:
    """Print the result of a lesson, a rollback or stored examples."""
    from pcedge.cli.console import Facts, out, say

    if json:
        _print_json(result)
        return
    if result.images:
        out.print(_pictures(result))
    if result.entry is None:
        say("Nothing was taught: the bundle is as it was.")
        return
    table = Facts(f"Entry {result.entry} of {result.bundle.directory}")
    table.add("rows", f"{result.added} added, {result.pruned} taken out; {result.rows:,} now")
    table.add("threshold", f"{result.before.score:.4g} before, {result.after.score:.4g} now")
    if result.before.review is not None and result.after.review is not None:
        table.add("REVIEW above", f"{result.before.review:.4g} before, {result.after.review:.4g} now")
    out.print(table)
    for one in result.notes:
        say("[yellow]Note:[/] {note}", note=one)


def _pictures(result: "TeachResult") -> "Table":
    from rich.table import Table
    from rich.text import Text

    styles = {"taught": "green", "refused": "bold red"}
    table = Table(title_justify="left")
    table.add_column("picture", overflow="fold")
    table.add_column("")
    for heading in ("score", "now", "rows"):
        table.add_column(heading, justify="right")
    table.add_column("why", overflow="fold")
    for one in result.images:
        table.add_row(
            Text(one.name),
            Text(one.outcome, styles.get(one.outcome, "")),
            _number(one.score),
            _number(one.score_after),
            str(one.rows) if one.rows else "-",
            Text(one.reason),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _print_json(result: "TeachResult") -> None:
    import json
    from dataclasses import asdict

    import msgspec

    print(
        json.dumps(
            {
                "bundle": str(result.bundle.directory),
                "entry": result.entry,
                "images": msgspec.to_builtins(result.images),
                "rows_added": result.added,
                "rows_pruned": result.pruned,
                "bank_rows": result.rows,
                "before": asdict(result.before),
                "after": asdict(result.after),
                "notes": list(result.notes),
            }
        )
    )


def print_history(bundle: "Bundle", log: "tuple[LogEntry, ...]", json: bool) -> None:
    """Print the log as a table."""
    import json as json_module

    import msgspec
    from rich.table import Table
    from rich.text import Text

    from pcedge.cli.console import out, say

    if json:
        entries = msgspec.to_builtins(log)
        print(json_module.dumps({"bundle": str(bundle.directory), "entries": entries}))
        return
    if not log:
        say("{bundle} was never taught.", bundle=bundle.directory)
        return
    table = Table(title=Text(f"Lessons of {bundle.directory}"), title_justify="left", title_style="bold")
    for heading in ("entry", "when (UTC)", "who", "what"):
        table.add_column(heading, overflow="fold")
    for heading in ("rows", "threshold", "bank"):
        table.add_column(heading, justify="right", no_wrap=True)
    own = bundle.manifest.precision
    for entry in log:
        state = entry.states[own]
        table.add_row(
            str(entry.number),
            entry.when[:16].replace("T", " "),
            Text(entry.who),
            Text(_summary(entry)),
            f"+{entry.added} -{entry.pruned}" if entry.added or entry.pruned else "-",
            f"{state.score:.4g}",
            state.bank_sha256[:8],
        )
    out.print(table)


def _summary(entry: "LogEntry") -> str:
    names = [one.name for one in entry.images if one.outcome in ("taught", "stored")]
    refused = sum(one.outcome == "refused" for one in entry.images)
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    said = {
        "fitted": "as it was fitted",
        "rollback": f"back to {entry.to}",
        "changed": "changed since, as by calibrating",
        "lesson": shown,
        "examples": f"examples stored: {shown}",
    }[entry.kind]
    said += f"; {refused} refused" if refused else ""
    said += "; forced" if entry.forced else ""
    return f"{said} ({entry.note})" if entry.note else said
