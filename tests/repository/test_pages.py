"""Generated pages are what their commands make now: the reference, and the quickstart of the README."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from pcedge.camera import write_dataset
from pcedge.evaluation.runs.schema import Run
from pcedge.line.config import CameraTable

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
PINNED = re.findall(r"^typer==([\d.]+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
# What depends on the machine: times, rates, rounding, and frames that a busy machine let go.
_OF_THE_MACHINE = (
    r"\d+(\.\d+)?e-\d+",
    r"\d+(\.\d+)?(?= (ms|s|a second)\b)",
    r"(?<=seconds )\d+(\.\d+)?",
    r"(?<=dropped )\d+",
)
_STAGE = re.compile(r"\b(load|embed|coreset|calibrate|write) \d+\.\d+")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@pytest.fixture(autouse=True)
def _from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.skipif(typer.__version__ not in PINNED, reason="the reference is made with the pinned Typer")
@pytest.mark.parametrize("name", ["commands.md", "exit-codes.md", "line-toml.md", "schemas.md"])
def test_the_reference_is_what_the_code_says(name: str) -> None:
    from benchmarks.reference.__main__ import pages

    assert (REFERENCE / name).read_text(encoding="utf-8") == pages()[name], (
        "Write it again with: python -m benchmarks.reference"
    )


def test_every_key_of_a_line_has_a_meaning() -> None:
    empty = re.findall(r"^\| `(\w+)` \|.*\|\s*\|$", (REFERENCE / "line-toml.md").read_text(), re.MULTILINE)

    assert empty == []


@pytest.mark.parametrize("kind", [Run, CameraTable])
def test_what_a_docstring_says_of_fields_is_of_fields_there_are(kind: Any) -> None:
    from benchmarks.reference.tables import meanings

    assert set(meanings(kind)) == set(kind.__struct_fields__)


def _normal(lines: str) -> str:
    """Output as one line: without frames of tables, without what depends on the machine."""
    text = " ".join(re.sub(r"[│┌┐└┘├┤┬┴┼─]", " ", lines).split())
    for pattern in _OF_THE_MACHINE:
        text = re.sub(pattern, "~", text)
    return _STAGE.sub(r"\1 ~", text)


def _differences(shown: str, found: str) -> list[tuple[str, str]]:
    """Where two outputs differ: words by a letter, numbers by more than 5 %."""
    words, others = _NUMBER.split(shown), _NUMBER.split(found)
    if words != others:
        return [pair for pair in zip(words, others, strict=False) if pair[0] != pair[1]] or [("", "longer")]
    numbers = zip(_NUMBER.findall(shown), _NUMBER.findall(found), strict=True)
    return [(one, other) for one, other in numbers if _value(one) != pytest.approx(_value(other), rel=0.05)]


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def test_the_quickstart_prints_what_the_readme_shows(tmp_path: Path) -> None:
    from benchmarks.card import END
    from benchmarks.quickstart import BEGIN, COMMANDS, run_quickstart

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.partition(BEGIN)[2].partition(END)[0]

    found = "\n".join(run_quickstart(tmp_path))

    assert [f"$ {one}" for one in COMMANDS] == re.findall(r"^\$ .*$", shown, re.MULTILINE)
    assert _differences(_normal(shown), _normal(found)) == []


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "mvtec" / "bottle", train=6, test_good=1, per_defect=0, size=128)
    (part,) = (tmp_path / "mvtec" / "bottle" / "test" / "good").iterdir()
    part.rename(tmp_path / "part.png")

    # The network that needs no download stands in.
    exec(compile(snippet.replace("resnet18", "pcedge-s"), "README.md", "exec"), {})

    assert re.fullmatch(r"(OK|NG) \d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("shown", "found", "same"),
    [
        ("│ threshold │ 0.6131 │", "│ threshold   │ 0.6130 │", True),
        ("│ threshold │ 0.6131 │", "│ threshold │ 0.7131 │", False),
        ("72.0 ms a frame", "7.9 ms a frame", True),
        ("seconds 28.3 (load 5.2, write 2.3)", "seconds 8.1 (load 0.2, write 1.3)", True),
        ("differ by at most 4.8e-07", "differ by at most 1.1e-06", True),
        ("OK 3 REVIEW 0 NG 1", "OK 2 REVIEW 0 NG 2", False),
        ("Next: pcedge export", "Next: pcedge verify", False),
        ("images 40", "images 40 Next: pcedge export", False),
    ],
)
def test_outputs_are_compared_but_for_what_the_machine_decides(shown: str, found: str, same: bool) -> None:
    assert (_differences(_normal(shown), _normal(found)) == []) is same


def test_the_readme_is_one_page() -> None:
    from benchmarks.house.words import words

    assert 450 <= words((ROOT / "README.md").read_text(encoding="utf-8")) <= 650


def test_the_house_is_measured(tmp_path: Path) -> None:
    from benchmarks.house.__main__ import measure, table

    for name in ("banks", "camera", "export"):
        (tmp_path / name).mkdir()
    package = tmp_path / "pcedge" / "rooms"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "first.py").write_text(
        "from . import second\n\n\nclass Room:\n    def wide(self):\n        pass\n"
    )
    (package / "second.py").write_text(
        "class _Room:\n    pass\n\n\ndef enter():\n    from .first import Room\n"
    )
    (tmp_path / "README.md").write_text(
        "# Title\n\nFive words [are](here.md) `here`.\n\n```python\nno_word\n```\n"
    )

    found = measure(tmp_path)

    assert found["entries"] == {"pcedge/rooms": 2, "pcedge": 1}
    assert found["circles"] == [["pcedge.rooms.first", "pcedge.rooms.second"]]
    assert list(found["names_with_two_meanings"]) == ["Room"]
    assert (found["packages"], found["modules"], found["median_function_lines"]) == (2, 4, 2)
    assert found["largest_module"] == {"name": "pcedge/rooms/second.py", "lines": 6}
    assert found["readme_words"] == 5
    assert "| words of the README | 5 |" in list(table({"now": found}))
