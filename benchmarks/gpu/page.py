"""The day as a page of Markdown."""

from typing import Any


def page(found: dict[str, Any]) -> str:
    """A table of what was measured, and a list of what was skipped and why."""
    lines = [
        "# The day with a GPU",
        "",
        f"GPU: {found['gpu'] or 'none'}; {found['seconds']:.0f} s in all. `python -m benchmarks.gpu`",
        "",
        "The floor counts the network and a search of every row, over this device's peaks;",
        "the processor's search, which leaves out rows by bounds, can be below it.",
        "",
        "| part | measured |",
        "|---|---|",
    ]
    parts: dict[str, dict[str, Any]] = found["parts"]
    lines += [f"| {name} | {_facts(part)} |" for name, part in parts.items() if "skipped" not in part]
    lines += ["", "## Skipped", ""]
    lines += [f"- {name}: {part['skipped']}" for name, part in parts.items() if "skipped" in part] or [
        "nothing"
    ]
    return "\n".join(lines) + "\n"


def _facts(part: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {_value(value)}" for name, value in part.items() if value is not None)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("|", "/")
