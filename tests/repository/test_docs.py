"""The documents tell the truth: their commands exist with these options, their links lead somewhere."""

import ast
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pcedge.camera import DEFECT_KINDS
from pcedge.cli import app
from pcedge.cli import demo_line as demo
from pcedge.datasets.recognition import LAYOUTS
from pcedge.inspection.runtimes import RUNTIMES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
CODE = ("pcedge", "banks", "camera", "export", "benchmarks")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = (
    *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG")),
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _typed(block: str) -> list[str]:
    """What is to be typed of a console block, without prompts and comments, continued lines joined."""
    lines = block.replace("\\\n", " ").splitlines()
    return [" ".join(line.removeprefix("$ ").split(" #")[0].split()) for line in lines]


COMMANDS = sorted(
    {
        line
        for page in PAGES
        for block in _blocks(page, "console")
        for line in _typed(block)
        if line.startswith("pcedge ")
    }
)


def test_the_readme_has_the_three_commands_of_a_working_day() -> None:
    assert {"pcedge fit mvtec/bottle", "pcedge export --trt", "pcedge watch --camera 0"} <= set(COMMANDS)


def _usage_error(line: str) -> str:
    """What the command line's parser has against a command, without running it; empty if nothing."""
    _, name, *arguments = shlex.split(line)
    group: Any = typer.main.get_command(app)
    if name not in group.commands:
        return f"No such command: {name}"
    try:
        parent = group.make_context("pcedge", [name, *arguments])
        name, command, rest = group.resolve_command(parent, [name, *arguments])
        command.make_context(name, rest, parent=parent)
    except Exception as error:  # Typer raises classes of its own, in a module that is not public
        return str(error)
    return ""


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_the_documents_parses(line: str) -> None:
    assert _usage_error(line) == ""


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        ("fit", "layout", [layout.name for layout in LAYOUTS]),
        ("verify", "runtime", ["auto", *(kind.name for kind in RUNTIMES)]),
    ],
)
def test_the_help_of_an_option_names_every_line_of_its_table(
    command: str, option: str, names: list[str]
) -> None:
    group: Any = typer.main.get_command(app)
    (found,) = [one for one in group.commands[command].params if one.name == option]

    first_sentence = re.split(r"\.\s", found.help)[0]
    assert [name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", first_sentence)] == []


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("pcedge watch --camera 0", "pcedge wach --camera 0", "No such command: wach"),
        ("pcedge export --trt", "pcedge export --tensorrt", "No such option: --tensorrt"),
        ("pcedge fit mvtec/bottle", "pcedge fit", "dataset"),
        ("pcedge fit mvtec/bottle", "pcedge fit mvtec/bottle mvtec/cable", "unexpected extra argument"),
        ("pcedge watch --camera 0", "pcedge watch --camera 0 --max-frames few", "integer"),
    ],
)
def test_a_command_that_would_not_parse_is_noticed(right: str, wrong: str, words: str) -> None:
    assert right in COMMANDS
    assert words in _usage_error(wrong)


@pytest.mark.parametrize("target", re.findall(r"^(\w+): ", (ROOT / "Makefile").read_text(), re.MULTILINE))
def test_every_make_target_explains_itself(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", sorted({*re.findall(r"`make (\w+)`", README), "demo", "test"}))
def test_make_targets_in_the_readme_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_shares_that_the_readme_gives_are_of_the_demo_s_images() -> None:
    shares = re.search(r"misses (\d+) of (\d+) defects\b.*?\brejects (\d+) of (\d+) good", README, re.DOTALL)

    assert shares is not None
    missed, defects, rejected, good = map(int, shares.groups())
    assert (defects, good) == (demo.PER_DEFECT * len(DEFECT_KINDS), demo.TEST_GOOD)
    assert missed <= defects
    assert rejected <= good


def _anchors(page: Path) -> set[str]:
    """What can be linked to in a page: its headings, as GitHub and the site name them."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _dead(page: Path, target: str) -> str:
    """Why a link of a page leads nowhere; empty where it leads somewhere."""
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.exists():
        return f"{target}: no such file"
    if anchor and anchor not in _anchors(there):
        return f"{target}: no such heading"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)\s]+)\)", _prose(page))

    assert [dead for target in targets if (dead := _dead(page, target))] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=_name)
def test_pages_of_the_site_link_only_to_what_is_on_it(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)\s#]+)", _prose(page))

    assert [one for one in targets if not (page.parent / one).resolve().is_relative_to(ROOT / "docs")] == []


def test_a_link_that_leads_nowhere_is_noticed() -> None:
    page = ROOT / "README.md"

    assert _dead(page, "docs/nowhere.md") == "docs/nowhere.md: no such file"
    assert _dead(page, "docs/index.md#nonsense") == "docs/index.md#nonsense: no such heading"
    assert _dead(page, "docs/index.md") == _dead(page, "#install") == ""


def test_every_page_can_be_reached_from_the_index_of_the_documentation() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = re.findall(r"\]\((?!https?:|#)([^)\s#]+\.md)", _prose(page))
        waiting += [(page.parent / target).resolve() for target in targets]

    assert set((ROOT / "docs").rglob("*.md")) - seen == set()


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    shown = re.findall(r"([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]

    assert sorted(shown) == sorted(pages)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_snippets_in_python_and_toml_are_python_and_toml(page: Path) -> None:
    for block in _blocks(page, "python"):
        ast.parse(block)
    for block in _blocks(page, "toml"):
        tomllib.loads(block)
    for block in _blocks(page, "json"):
        json.loads(block)


def test_pages_of_the_documentation_that_are_named_are_there() -> None:
    sources = [path for name in CODE for path in (ROOT / name).rglob("*.py")]
    named = {
        (_name(path), one)
        for path in (*PAGES, *sources)
        for one in re.findall(r"(?<![\w/])docs/[\w./-]+\.md", path.read_text(encoding="utf-8"))
    }

    assert len(named) > 10
    assert {(path, one) for path, one in named if not (ROOT / one).exists()} == set()


SYMBOLS = re.findall(r"\]\(([\w/]+\.py)\): `(\w+)`", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))


def _defined(source: str) -> set[str]:
    """What a module defines itself: classes, functions and assigned names, those of its classes too."""
    names: set[str] = set()
    waiting: list[ast.stmt] = list(ast.parse(source).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            waiting += node.body
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    return names


@pytest.mark.parametrize(("path", "symbol"), SYMBOLS)
def test_what_the_architecture_says_is_in_a_file_is_defined_there(path: str, symbol: str) -> None:
    assert len(SYMBOLS) > 20
    assert symbol in _defined((ROOT / path).read_text(encoding="utf-8"))


def test_a_name_that_a_module_only_imports_or_uses_is_not_its_own() -> None:
    source = (
        "from far import Away\n"
        "PLAIN, _PAIR = 1, 2\n"
        "TYPED: int = 3\n"
        "class Kept:\n    field: int\n    def method(self) -> Away:\n        inner = Away()\n"
        "def function() -> None: ...\n"
    )

    assert _defined(source) == {"PLAIN", "_PAIR", "TYPED", "Kept", "field", "method", "function"}


def _declared_extras() -> set[str]:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    _, _, after = declared.partition("[project.optional-dependencies]\n")
    return set(re.findall(r"^([\w-]+) = \[", after.partition("\n[")[0], re.MULTILINE))


def _extras(pattern: str, text: str) -> set[str]:
    return {name for group in re.findall(pattern, text) for name in group.split(",")}


def test_extras_in_the_readme_exist() -> None:
    named = _extras(r"'\.\[([^\]]+)\]'", README)

    assert {"cpu", "trt", "fit"} <= named <= _declared_extras()


def _hinted_extras(source: str) -> set[str]:
    """Extras that a module names in hints: in a text, or to the error that makes a hint of them."""
    handed_over = [
        ast.literal_eval(argument)  # which fails for what only running would tell
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MissingExtraError"
        for argument in [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "extra")]
    ]
    return _extras(r"pcedge\[([^\]{}]+)\]", "".join([source, *(f"pcedge[{names}]" for names in handed_over)]))


def test_extras_that_error_messages_and_hints_name_exist() -> None:
    hinted = {
        path.relative_to(ROOT).as_posix(): _hinted_extras(path.read_text(encoding="utf-8"))
        for folder in CODE
        for path in (ROOT / folder).rglob("*.py")
    }

    assert {"fit", "cpu", "gpu", "trt"} <= set().union(*hinted.values())
    declared = _declared_extras()
    assert {path: names for path, names in hinted.items() if not names <= declared} == {}


@pytest.mark.parametrize(
    "source",
    [
        "hint = \"pip install 'pcedge[fit,wrong]'\"",
        "raise MissingExtraError('torch', 'fit,wrong', 'Fitting')",
        "raise MissingExtraError('torch', extra='fit,wrong', purpose='Fitting')",
    ],
)
def test_a_hint_with_an_extra_that_does_not_exist_is_noticed(source: str) -> None:
    assert _hinted_extras(source) - _declared_extras() == {"wrong"}
