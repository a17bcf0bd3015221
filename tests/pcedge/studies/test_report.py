"""Reports: the numbers of the run are in them, whatever its names and gaps; errors leave nothing behind."""

import io
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pypdf
import pytest

from pcedge.bundles.bundle import find_bundle
from pcedge.datasets import audit, open_dataset
from pcedge.errors import MissingExtraError, OptionError, OutputError, PcedgeError, ResultError
from pcedge.evaluation.runs import Curves, DataFacts, RecordedMetric, Run, read_run
from pcedge.studies.report import ReportOptions, load_study, write_report
from pcedge.studies.suite import SUMMARY_JSON, Circumstances, data_facts, evaluate_bundle

NASTY = (
    '#panic("x") $x_1$ <script>alert(1)</script> _a_ *b* `c` \\n {0} @ref [9] "q" 日本 ☃\x1b\u202e '
    + "long" * 60
)


class RunLine(Protocol):
    dataset: Path
    models: Path


@pytest.fixture(scope="module")
def real_run(exported_line: RunLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the rendered line; not to be changed."""
    directory = tmp_path_factory.mktemp("runs") / "line"
    dataset = open_dataset(exported_line.dataset)
    facts = data_facts(dataset, "0123456789abcdef" * 2, audit(dataset))
    circumstances = Circumstances("line", "", facts, "edge", "pcedge evaluate line --preset edge")
    evaluate_bundle(find_bundle("line", exported_line.models), dataset, ("onnx",), directory, circumstances)
    return directory


def _changed(source: Path, target: Path, **changes: Any) -> Path:
    """A copy of a run that says something else."""
    shutil.copytree(source, target)
    run = msgspec.structs.replace(read_run(source), **changes)
    (target / "run.json").write_bytes(msgspec.json.encode(run))
    return target


def _text(pdf: Path) -> str:
    pages = (page.extract_text() for page in pypdf.PdfReader(pdf).pages)
    return re.sub(r"\s+", " ", " ".join(pages)).replace("ﬁ", "fi").replace("ﬂ", "fl")


def _fonts(pdf: Path) -> Iterator[Any]:
    for page in pypdf.PdfReader(pdf).pages:
        fonts: Any = page["/Resources"].get_object().get("/Font", {})  # type: ignore[union-attr]
        for font in fonts.get_object().values():
            for descendant in font.get_object().get("/DescendantFonts", [font]):
                yield descendant.get_object()["/FontDescriptor"].get_object()


@pytest.fixture(scope="module")
def pdf(real_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("pdf") / "report.pdf"
    write_report([real_run], output)
    return output


def test_the_pdf_holds_the_numbers_of_the_run(real_run: Path, pdf: Path) -> None:
    run, text = read_run(real_run), _text(pdf)

    for name, metric in run.metrics.items():
        assert metric.value is not None, name
        assert f"{100 * metric.value:.2f}" in text, name
        if metric.interval:
            low, high = metric.interval
            assert f"{100 * low:.1f} to {100 * high:.1f}" in text, name
    assert run.threshold is not None
    assert f"{run.threshold.score:.4g}" in text
    for word in (run.command, run.settings.backbone, run.data.digest[:16], f"numpy {run.libraries['numpy']}"):
        assert word in text
    assert run.settings.weights_sha256 in text.replace(" ", "")
    for picture in run.pictures[:1]:
        assert picture.name in text
    missed = sum(row.defect and row.verdict == "OK" for row in run.images)
    assert f"{missed} of {sum(row.defect for row in run.images)}" in text


def test_the_pdf_is_a_proper_document(real_run: Path, pdf: Path) -> None:
    reader, date = pypdf.PdfReader(pdf), read_run(real_run).created

    descriptors = list(_fonts(pdf))
    assert len(descriptors) > 3
    assert all({"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor) for descriptor in descriptors)
    assert reader.metadata is not None
    assert reader.metadata.title == "Anomaly detection on line"
    assert str(reader.metadata.author).startswith("pcedge ")
    assert str(reader.metadata.get("/CreationDate")).startswith("D:" + date[:10].replace("-", ""))
    titles = [entry.title for entry in reader.outline if not isinstance(entry, list)]
    assert [re.sub(r"^\d+\s*", "", str(title)) for title in titles][:3] == [
        "What was asked",
        "Data",
        "Related work",
    ]
    assert f"1 of {len(reader.pages)}" in reader.pages[0].extract_text()
    assert [round(float(side)) for side in reader.pages[0].mediabox[2:]] == [595, 842]


def test_the_same_run_gives_the_same_files_and_pages_of_letter_size_if_asked(
    real_run: Path, pdf: Path, tmp_path: Path
) -> None:
    write_report([real_run], tmp_path / "again.pdf")
    write_report([real_run], tmp_path / "letter.pdf", ReportOptions(paper="letter", title="Of *Tuesday*"))

    assert (tmp_path / "again.pdf").read_bytes() == pdf.read_bytes()
    letter = pypdf.PdfReader(tmp_path / "letter.pdf")
    assert [round(float(side)) for side in letter.pages[0].mediabox[2:]] == [612, 792]
    assert letter.metadata is not None
    assert letter.metadata.title == "Of *Tuesday*"


def test_the_page_has_everything_inside(real_run: Path, tmp_path: Path) -> None:
    run = read_run(real_run)

    written = write_report([real_run], tmp_path / "report.html", ReportOptions(pictures=8))

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'src="([^"]{0,30})', page)
    shown = [name for p in run.pictures for name in (p.picture, p.heatmap, p.mask) if name]
    assert len(sources) == len(shown) + 1
    assert all(source.startswith("data:image/") for source in sources)
    assert "url(" not in page
    assert "<link" not in page
    assert page.count("<math") > 10
    assert f"{100 * (run.value('image_auroc') or 0):.2f}" in page
    assert written.to_dict()["runs"][0]["metrics"]["image_auroc"]["value"] == run.value("image_auroc")
    anchors = set(re.findall(r'<a href="#([^"]+)"', page))
    assert anchors == anchors & set(re.findall(r'id="([^"]+)"', page))


def _nasty(run: Run) -> dict[str, Any]:
    replace = msgspec.structs.replace
    return {
        "name": NASTY,
        "command": NASTY,
        "data": replace(run.data, name=NASTY, title=NASTY, kinds={NASTY: 3, "good": 2}, problems=(NASTY,)),
        "settings": replace(run.settings, backbone=NASTY, weights=NASTY),
        "images": tuple(replace(row, kind=NASTY if row.defect else "good", name=NASTY) for row in run.images),
        "pictures": tuple(replace(picture, name=NASTY, kind=NASTY) for picture in run.pictures[:2]),
        "skipped": {NASTY: NASTY},
        "runtimes": (replace(run.runtimes[0], description=NASTY), replace(run.runtimes[0], skipped=NASTY)),
        "libraries": {NASTY: NASTY},
    }


def test_names_are_shown_as_they_are_and_cannot_do_anything(real_run: Path, tmp_path: Path) -> None:
    run = _changed(real_run, tmp_path / "nasty", **_nasty(read_run(real_run)))

    write_report([run, real_run], tmp_path / "nasty.pdf", ReportOptions(title=NASTY))
    write_report([run], tmp_path / "nasty.html")

    page = (tmp_path / "nasty.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    text = _text(tmp_path / "nasty.pdf")
    assert '#panic("x") $x_1$ <script>alert' in text
    assert r"_a_ *b* `c` \n {0} @ref [9]" in text
    assert not {"\x1b", "\u202e"} & set(text)


def _degenerate(run: Run) -> dict[str, dict[str, Any]]:
    undefined = RecordedMetric(value=None, reason="needs masks of defects")
    replace = msgspec.structs.replace
    good = tuple(row for row in run.images if not row.defect)
    return {
        "no-masks": {
            "metrics": {**run.metrics, "pixel_auroc": undefined, "aupro": undefined},
            "data": replace(run.data, masks=0, digest="of other data"),
        },
        "no-defects": {"images": good, "pictures": (), "data": replace(run.data, kinds={"good": len(good)})},
        "constant": {"images": tuple(replace(row, score=1.0) for row in run.images)},
        "zero": {"images": tuple(replace(row, score=0.0) for row in run.images)},
        "wide": {"images": tuple(replace(row, score=10.0**n) for n, row in enumerate(run.images))},
        "ranking": {
            "settings": replace(run.settings, neighbours=3, embedding="reference"),
            "threshold": None,
            "images": tuple(replace(row, verdict="") for row in run.images),
        },
        "empty": {
            "images": (),
            "pictures": (),
            "metrics": {},
            "runtimes": (),
            "seconds": {},
            "libraries": {},
        },
    }


def test_runs_with_gaps_say_what_is_missing(real_run: Path, tmp_path: Path) -> None:
    paths = []
    for name, changes in _degenerate(read_run(real_run)).items():
        paths.append(_changed(real_run, tmp_path / "runs" / name, name=name, **changes))
        if name in ("no-masks", "no-defects", "empty"):
            (paths[-1] / "curves.json").write_bytes(msgspec.json.encode(Curves()))
    summary = {
        "categories": [{"name": "lost", "error": "the disk was *full*"}, {"name": "wide", "error": None}]
    }
    (tmp_path / "runs" / SUMMARY_JSON).write_text(json.dumps(summary))

    written = write_report([tmp_path / "runs"], tmp_path / "gaps.pdf")

    text = _text(tmp_path / "gaps.pdf")
    for words in (
        "No masks: no-masks",
        "not defined, for no-masks: needs masks of defects",
        "There are no defective test images.",
        "All 18 test images have the same score",
        "The run holds no images.",
        "These checks found nothing, and every image was used.",
        "lost has no results: the disk was *full*",
        "Nothing is published for these settings",
        "re-weighting (its equation 7)",
        "In the reference embedding",
        "These scores only rank images",
    ):
        assert words in text, words
    assert len(written.study.subjects) == 7


def _damaged(run: Path) -> None:
    (run / "run.json").write_text((run / "run.json").read_text()[:-40])


def _newer(run: Path) -> None:
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**content, "schema_version": 99}))


def _undated(run: Path) -> None:
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**content, "created": "yesterday"}))


def _without_picture(run: Path) -> None:
    (run / read_run(run).pictures[0].heatmap).unlink()


def _torn_picture(run: Path) -> None:
    (run / read_run(run).pictures[0].picture).write_bytes(b"\xff\xd8\xff")


def _without_curves(run: Path) -> None:
    (run / "curves.json").unlink()


def _bad_summary(run: Path) -> None:
    (run / SUMMARY_JSON).write_text('{"categories": 7}')


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_damaged, "run.json is damaged"),
        (_newer, "schema version 99"),
        (_undated, "'yesterday' is not a date"),
        (_without_picture, "-heatmap.jpg"),
        (_torn_picture, "An image of the run cannot be used"),
        (_without_curves, "curves.json cannot be read"),
        (_bad_summary, "summary.json is damaged"),
    ],
)
def test_a_run_that_cannot_be_read_is_an_error_and_leaves_nothing(
    real_run: Path, tmp_path: Path, spoil: Any, words: str
) -> None:
    shutil.copytree(real_run, tmp_path / "run")
    spoil(tmp_path / "run")
    (tmp_path / "out").mkdir()

    with pytest.raises(ResultError, match=re.escape(words)):
        write_report([tmp_path / "run"], tmp_path / "out" / "report.html")

    assert list((tmp_path / "out").iterdir()) == []


def test_two_runs_of_one_category_are_compared_each_for_itself(real_run: Path, tmp_path: Path) -> None:
    run = read_run(real_run)
    settings = msgspec.structs.replace(run.settings, preset="official-224")
    for place, value in (("one", 0.9), ("two", 0.5)):
        metrics = {"image_auroc": RecordedMetric(value=value)}
        _changed(real_run, tmp_path / place / "bottle", name="bottle", settings=settings, metrics=metrics)

    (group,) = load_study([tmp_path / "one", tmp_path / "two"]).groups

    points = [group.compared[subject.digest, "image_auroc"].points for subject in group.subjects]
    assert points == pytest.approx([-10, -50])
    assert group.compared["mean", "image_auroc"].points == pytest.approx(-30)


def test_an_output_that_cannot_be_is_an_error(real_run: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").write_text("not a folder")

    for name, error in (
        ("report.docx", OptionError),
        ("report", OptionError),
        ("folder.html", OutputError),
        ("file/report.html", OutputError),
    ):
        with pytest.raises(error) as raised:
            write_report([real_run], tmp_path / name)
        assert isinstance(raised.value, PcedgeError)
        assert raised.value.hint
    with pytest.raises(OptionError, match="0 images"):
        write_report([real_run], tmp_path / "r.html", ReportOptions(pictures=0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.html"]


@pytest.mark.parametrize("module", ["typst", "matplotlib"])
def test_a_missing_library_names_the_extra(
    real_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingExtraError, match=module) as raised:
        write_report([real_run], tmp_path / "report.pdf")

    assert "pcedge[report]" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_results_stand_beside_the_published_ones(real_run: Path, tmp_path: Path) -> None:
    run = read_run(real_run)
    facts: DataFacts = msgspec.structs.replace(run.data, name="bottle")
    settings = msgspec.structs.replace(run.settings, preset="official-224")
    for name in ("bottle", "other"):
        _changed(real_run, tmp_path / "runs" / name, name=name, data=facts, settings=settings)
    peers = tmp_path / "peers.csv"
    peers.write_text("tool,dataset,image_auroc,note\nother tool,bottle,0.9876,on a *fast* machine\n")

    written = write_report([tmp_path / "runs"], tmp_path / "r.html", ReportOptions(pictures=1, beside=peers))

    tables = {table["caption"].split(",")[0]: table for table in written.to_dict()["tables"]}
    level = tables["Image level"]
    column = level["columns"].index("official")
    found = 100 * (run.value("image_auroc") or 0)
    rows = {row[0]: row[column : column + 2] for row in level["rows"]}
    difference = f"{found - 100:+.2f}".replace("-", "−")
    assert rows["bottle"][0] == "100.00"
    assert rows["bottle"][1].removesuffix(" *") == difference
    assert rows["other"] == ("–", "–")
    assert rows["mean"] == ("", "")
    assert rows["mean of the 1 published"][0] == "100.00"
    assert level["rows"][-1][:2] == ("paper [1], mean of 15", "99.0")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Not the published configuration" in page
    assert "backbone pcedge-s instead of wide_resnet50_2" in page
    assert "98.76" in page
    assert "on a *fast* machine" in page


def test_runs_of_one_name_and_of_other_settings_are_told_apart(real_run: Path, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(read_run(real_run).settings, preset="whole", coreset="0.5")
    one = _changed(real_run, tmp_path / "one" / "line")
    two = _changed(real_run, tmp_path / "two" / "line", settings=settings)

    study = load_study([one, two, one])

    assert [subject.label for subject in study.subjects] == ["line (one)", "line (two)"]
    assert study.date == read_run(real_run).created[:10]
    assert len(study.groups) == 2


def test_the_command_writes_and_tells(pcedge: Any, real_run: Path, tmp_path: Path) -> None:
    done = pcedge("report", real_run, "-o", tmp_path / "made" / "report.html", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["bytes"] == (tmp_path / "made" / "report.html").stat().st_size
    assert told["runs"][0]["label"] == "line"
    assert {"Image level", "Everything that decides a score"} <= {
        t["caption"].split(",")[0] for t in told["tables"]
    }


def test_a_thumbnail_is_small_and_a_picture(real_run: Path) -> None:
    from PIL import Image

    from pcedge.studies.report.render.thumbnails import thumbnail

    content = thumbnail(real_run / read_run(real_run).pictures[0].picture)

    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "JPEG"
        assert max(picture.size) <= 320
