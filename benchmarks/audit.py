"""The installed packages against the database of advisories; where it cannot be reached, that is said.

``python -m benchmarks.audit`` runs pip-audit. Exit code 1 if a package has a known hole, 0 if none has or the
database could not be asked.
"""

import json
import subprocess
import sys
from typing import Any

from pcedge.cli.console import err, say

_WITHIN_S = 300


def main() -> None:
    """Ask, and print what is known."""
    quietly = ("--skip-editable", "--progress-spinner", "off", "--format", "json")
    command = [sys.executable, "-m", "pip_audit", *quietly]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WITHIN_S)
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        err.print("Not audited: the database of advisories cannot be reached.")
        return
    asked = [one for one in packages if "skip_reason" not in one]
    if not asked:
        err.print("Not audited: the package index in use has no advisories.")
        return
    holes = [(one["name"], one["version"], hole) for one in asked for hole in one["vulns"]]
    for name, version, hole in holes:
        fixed = ", ".join(hole["fix_versions"]) or "no version yet"
        say(
            "{name} {version}: {id}, mended in {fixed}",
            name=name,
            version=version,
            id=hole["id"],
            fixed=fixed,
        )
    say("{asked} packages were asked about, {holes} known holes.", asked=len(asked), holes=len(holes))
    sys.exit(1 if holes else 0)


if __name__ == "__main__":
    main()
