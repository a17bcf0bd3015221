"""Keeping approximate indexes in a bundle, and choosing the one by which its bank is searched."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from pcedge.banks import INDEX_FILE, ApproximateIndex
from pcedge.bundles.bundle import Bundle, edit_bundle, seal
from pcedge.bundles.manifest import EXACT, IndexInfo, SearchCost
from pcedge.errors import OptionError
from pcedge.inspection.verification.golden import FOLDER, read_golden, write_searched

from .comparison import BuiltIndex


def keep_indexes(
    bundle: Bundle,
    built: Sequence[tuple[BuiltIndex, SearchCost]],
    *,
    use: str | None = None,
    drop: Sequence[str] = (),
) -> Bundle:
    """Store approximate indexes in a bundle, with what each costs.

    Every golden frame is searched by them, so that another machine can prove that they answer there as here.

    Args:
        bundle: Replaced whole, or not at all.
        built: What to store, exact searches aside.
        use: The index by which the bank is searched from now on: ``exact``, ``int8``, or one that is kept.
        drop: Indexes to remove.

    Raises:
        OptionError: ``use`` or ``drop`` names an index that the bundle does not keep.
    """
    _check_dropped(bundle, drop)
    frames = read_golden(bundle.searched_by(EXACT))
    with edit_bundle(bundle) as staging:
        indexes = dict(bundle.manifest.indexes)
        for name in drop:
            info = indexes.pop(name)
            for file in filter(None, (info.file, info.golden)):
                (staging / file).unlink()
        for one, cost in built:
            if one.index is None:
                continue
            info = _info(bundle, one, cost)
            for name in filter(None, (info.file, info.golden)):
                (staging / name).unlink(missing_ok=True)  # a link to the one in place, not to be written into
            if isinstance(one.index, ApproximateIndex):
                one.index.save(staging / info.file)
            write_searched(staging / info.golden, bundle, frames, one.bank)
            indexes[one.spec.name] = info
        index = bundle.manifest.index if use is None else use
        if index in drop:
            index = EXACT
        changed = msgspec.structs.replace(bundle.manifest, indexes=indexes, index=EXACT)
        chosen = Bundle(bundle.directory, changed).searched_by(index)
        sealed = seal(staging, chosen.manifest)
    return Bundle(bundle.directory, sealed)


def _info(bundle: Bundle, one: BuiltIndex, cost: SearchCost) -> IndexInfo:
    spec = one.spec
    return IndexInfo(
        factory=spec.factory,
        parameters=spec.parameters,
        candidates=spec.candidates,
        file="" if spec.is_milvus else f"{Path(INDEX_FILE).stem}.{spec.slug}{Path(INDEX_FILE).suffix}",
        golden=f"{FOLDER}/{spec.slug}.npz",
        bank_sha256=bundle.manifest.files[INDEX_FILE].sha256,
        cost=cost,
    )


def _check_dropped(bundle: Bundle, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in bundle.manifest.indexes]
    if missing:
        raise OptionError(
            f"The bundle {bundle.directory} keeps no index {missing[0]!r} to drop.",
            f"It keeps: {'; '.join(bundle.manifest.indexes) or 'none'}.",
        )
