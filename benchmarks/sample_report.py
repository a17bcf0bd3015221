"""Makes docs/results/sample-report.pdf and docs/images/report.jpg: a real report, of rendered parts.

Times in it are of the machine it runs on: run it on a quiet one.
"""

import argparse
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
LINES = "lines"
# Three products: name, parts to learn from, good parts and parts of each defect to test, seed, pixels.
PRODUCTS = (
    ("flange-a", 60, 20, 4, 0, 384),
    ("flange-b", 40, 16, 3, 40_000, 320),
    ("flange-c", 24, 12, 3, 90_000, 256),
)
EVALUATE = (
    *("suite", LINES, "--preset", "whole", "--backbone", "pcedge-s"),
    *("--runtimes", "torch,onnx", "--output", "runs/lines"),
)
# The first page, and the first of a category.
SHOWN_PAGES, PICTURE_DPI, QUALITY = (1, 5), 76, 80


def main() -> None:
    """Render, evaluate, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="Where parts and runs go; kept.")
    parser.add_argument("--docs", type=Path, default=DOCS, help="Where the sample goes.")
    options = parser.parse_args()
    render(options.work / LINES)
    pdf = options.docs.resolve() / "results" / "sample-report.pdf"
    for arguments in (EVALUATE, ("report", "runs/lines", "--pictures", "4", "-o", str(pdf))):
        command = Path(sys.executable).with_name("pcedge")
        subprocess.run([command, *arguments], cwd=options.work, check=True)
    draw(pdf, options.docs / "images" / "report.jpg", options.work)


def render(directory: Path) -> None:
    """Render the products that are not there yet."""
    from pcedge.camera import write_dataset

    for name, train, good, defects, seed, size in PRODUCTS:
        if not (directory / name).is_dir():
            write_dataset(
                directory / name, train=train, test_good=good, per_defect=defects, seed=seed, size=size
            )


def draw(pdf: Path, picture: Path, work: Path) -> None:
    """Draw pages beside each other."""
    from PIL import Image

    pages = []
    for number in SHOWN_PAGES:
        stem = work / f"page-{number}"
        limits = ("-f", str(number), "-l", str(number))
        subprocess.run(
            ["pdftoppm", "-r", str(PICTURE_DPI), *limits, "-png", "-singlefile", pdf, stem], check=True
        )
        pages.append(Image.open(f"{stem}.png"))
    gap = 12
    sheet = Image.new(
        "RGB", (sum(page.width + gap for page in pages) + gap, pages[0].height + 2 * gap), "#8a949e"
    )
    for place, page in enumerate(pages):
        sheet.paste(page, (gap + place * (page.width + gap), gap))
    sheet.save(picture, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
