"""Storing images whose verdicts lessons must not spoil."""

from collections.abc import Sequence
from pathlib import Path

from pcedge.bundles.bundle import Bundle
from pcedge.camera import Verdict
from pcedge.errors import ImageError
from pcedge.thresholds.verdict import Thresholds

from .bank.rewriting import begin_log, finish, rewrite
from .examples import ExampleKind, add_examples, read_examples
from .lesson_log import LogEntry, Offered
from .options import TeachOptions, TeachResult, limits_of, now
from .taught_bundle import Images, LessonImage, class_of, read_pictures


def store_examples(
    bundle: Bundle,
    *,
    defects: Sequence[Path] = (),
    good: Sequence[Path] = (),
    options: TeachOptions | None = None,
) -> TeachResult:
    """Keep images of defects and of good parts in a bundle.

    A lesson after which one of these defects would be found less, or one of these good parts rejected more,
    is refused. Good ones also confirm what is new in the images of a lesson. The bank stays as it is.

    Args:
        bundle: Exported; replaced whole, or left as it is.
        defects: Images with defects.
        good: Images of good parts.
        options: Who stores them.

    Raises:
        ImageError: An image cannot be judged.
        OptionError: There would be too many.
        BundleError: Another process teaches, or a file is damaged.
    """
    chosen = options or TeachOptions()
    with class_of(bundle, chosen) as opened:
        bundle, log, variants = opened
        own = variants[bundle.manifest.precision]
        log = begin_log(log, variants, chosen.who)
        told: list[Offered] = []
        with rewrite(bundle, log, variants) as work:
            examples = read_examples(bundle)
            kinds: tuple[tuple[ExampleKind, Sequence[Path]], ...] = (("defect", defects), ("good", good))
            for kind, paths in kinds:
                pictures = read_pictures(bundle, paths)
                _check(pictures)
                read = ((one.name, one.sha256, one.read()) for one in pictures)
                examples = add_examples(work.staging, examples, kind, read)
                passes = Thresholds(own.limit)
                seen = own.look(own.embed(Images(pictures)))
                told += [
                    Offered(
                        name=one.name,
                        sha256=one.sha256,
                        outcome="stored",
                        reason=_reason(kind, passes.verdict(shown.score)),
                        score=shown.score,
                    )
                    for one, shown in zip(pictures, seen, strict=True)
                ]
            entry = LogEntry(
                number=0,
                kind="examples",
                who=chosen.who,
                when=now(),
                note=chosen.note,
                images=tuple(told),
                states={},
            )
            result = finish(work, bundle, log, variants, entry)
    limits = limits_of(bundle)
    return TeachResult(result, work.entry, tuple(told), 0, 0, len(own.bank), limits, limits)


def _check(pictures: Sequence[LessonImage]) -> None:
    for one in pictures:
        if one.problem:
            raise ImageError(
                f"{one.name} cannot be an example: {one.problem.rstrip('.')}.", "Nothing was stored."
            )


def _reason(kind: ExampleKind, verdict: Verdict) -> str:
    if verdict is Verdict.INVALID:
        return "its score is not a finite number now"
    rejected = verdict is Verdict.NG
    if kind == "defect":
        return "it must stay found" if rejected else "it is not found now, so no lesson can hide it more"
    return "it confirms lessons" if rejected else "it must go on passing"
