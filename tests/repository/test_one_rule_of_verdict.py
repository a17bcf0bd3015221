"""A score is compared with a threshold in one place: others would answer otherwise for what is no number."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RULE = "pcedge/thresholds/verdict.py"
# Names of scores, and of what they are compared with.
TOLD_BY = re.compile(r"(^|_)(scores?|thresholds?|limits?|review|ng)$|^score_")
# Comparisons by such names that give no image a verdict, and what they are.
NO_VERDICTS = {
    "change.after.score > max(seen, outer_fence(found.scores))": "two thresholds",
    "own.after.score > own.before.score * 1.5": "two thresholds",
    "max(result.outliers.values()) >= limit.score": "which training image the threshold comes from",
    "scores > outer_fence(scores)": "outliers among scores",
    "threshold_at(scores, review_rate, weights) >= threshold_at(scores, rate, weights)": "two thresholds",
    "score > threshold": "the client of Triton, which stands alone and is compared with the rule by a test",
    "distance <= limit": "how alike two images are",
    "distances <= min(limit, share * usual_distance(distances, share))": "how alike two images are",
    "levels > self.threshold": "grey levels of a mask",
    "at_or_above <= limit": "a rate of false positives",
    "self._limit > 0": "bytes",
    "abs(wanted - limit) <= TOLERANCE * abs(limit)": "whether a golden frame's score is the threshold itself",
    "self.review <= first": "two rates",
    "self._entry_bytes > self._limit": "bytes",
    "self._unseen_bytes >= self._limit // _LOOK_AGAIN": "bytes",
    "self._others_bytes + needed > self._limit": "bytes",
    "self._others_bytes + needed <= self._limit": "bytes",
}


def _quantities(node: ast.expr) -> Iterator[str]:
    """What a side of a comparison is called: ``score`` of ``image.score`` and of ``abs(score[0]) * 2``."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Call):
        if ast.unparse(node.func) not in ("len", "range"):
            for one in (node.func, *node.args):
                yield from _quantities(one)
    else:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from _quantities(child)


def _comparisons(source: str) -> Iterator[str]:
    """Comparisons by size that name a score or a threshold."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Compare)
            and any(isinstance(one, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for one in node.ops)
            and any(TOLD_BY.search(name) for name in _quantities(node))
        ):
            yield ast.unparse(node)


def test_no_other_comparison_of_a_score_with_a_threshold_is_left() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), one)
        for path in (ROOT / "pcedge").rglob("*.py")
        for one in _comparisons(path.read_text(encoding="utf-8"))
    }

    others = {(path, one) for path, one in found if path != RULE}

    assert {(path, one) for path, one in others if one not in NO_VERDICTS} == set()
    assert NO_VERDICTS.keys() - {one for _, one in others} == set()


def test_such_comparisons_are_recognised() -> None:
    source = "a = not score <= self.threshold\nb = image.score > best\nc = good > limits.review\nd = x < y"

    assert set(_comparisons(source)) == {
        "score <= self.threshold",
        "image.score > best",
        "good > limits.review",
    }
