"""``open_line``: opens the sources, stations and inspectors of a described line."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.gate_files import gate_limits
from pcedge.bundles.manifest import MANIFEST_FILE
from pcedge.bundles.row_usage import UsageKeeper
from pcedge.camera import (
    CameraSettings,
    Debounced,
    DriftMonitor,
    DriftReference,
    EachFrame,
    FolderSource,
    FrameGate,
    Journal,
    Listening,
    MessageTrigger,
    OutputLock,
    PartRule,
    Source,
    Station,
    Trigger,
    Triggered,
    listen_for_triggers,
    make_triggers,
    may_be_path,
    mqtt_broker,
    open_sinks,
    open_source,
    read_mask,
    read_secret,
)
from pcedge.errors import OptionError
from pcedge.methods import AnyBundle, find_any_bundle
from pcedge.thresholds.drift import drift_reference

from .bundle_reloader import OnProblem, Reloader
from .config import CameraTable, LineFile
from .inspector_pool import Assignment, InspectorPool
from .runtime_choice import Choose, RuntimeOptions, proved

JOURNAL_FILE = "judged.txt"


@dataclass(frozen=True, eq=False)
class Line:
    """An opened line, ready to be watched.

    Attributes:
        sources: Sources by camera name; not yet opened.
        stations: Stations by camera name.
        inspector: Judges frames of all cameras.
        journal: Journal of judged files in watched folders; None if it is not kept.
        messages: Triggers fired by messages, by camera name.
        output: The directory for results, which nobody else writes to meanwhile; None if it is not held.
    """

    sources: Mapping[str, Source]
    stations: Mapping[str, Station]
    inspector: InspectorPool
    journal: Journal | None
    messages: Mapping[str, MessageTrigger] = field(default_factory=dict)
    output: Path | None = None


@contextmanager
def open_line(
    line: LineFile,
    output: Path,
    *,
    models: Path,
    on_problem: OnProblem,
    choose: Choose | None = None,
    unverified: bool = False,
    base: Path = Path(),
    follow: bool = True,
    again: bool = False,
    index: str | None = None,
) -> Iterator[Line]:
    """Load what the cameras of a line need, and reload changed bundles until the block ends.

    Args:
        line: The line's configuration.
        output: Directory for results, with the journal.
        models: Directory of bundles.
        on_problem: Called with the reason why a bundle that was replaced on disk is not used.
        choose: Function that chooses the runtime of a bundle. None for the fastest that is proved to score
            like the reference on this machine, among those that the line's ``[watch]`` allows.
        unverified: Without ``choose``: use the first runtime that opens, without verification.
        base: Directory that relative paths of the configuration refer to.
        follow: Whether to wait for more images in watched folders.
        again: Whether to judge files of watched folders again that were judged before.
        index: Index to search banks with; None for each bundle's own.

    Raises:
        ExportError: A bundle does not score like its reference on this machine.
        OutputError: Somebody else writes to the output directory.
        PcedgeError: A bundle, a source or a setting cannot be used.
    """
    choose = choose or proved(RuntimeOptions(unverified=unverified).over(line))
    with ExitStack() as stack:
        stack.enter_context(OutputLock(output, "pcedge watch"))
        journal = None
        if line.sinks.jsonl.enabled and not again and any(_is_folder(one, base) for one in line.cameras):
            journal = stack.enter_context(Journal(output / JOURNAL_FILE, output / line.sinks.jsonl.file))
        sources = _sources(line, base, follow, journal)
        tables = dict(zip(sources, line.cameras, strict=True))
        assignments = {name: _assignment(table, models, base, index) for name, table in tables.items()}
        inspector = stack.enter_context(InspectorPool(assignments, choose))
        asked = {name: one.trigger for name, one in tables.items() if one.trigger is not None}
        triggers = make_triggers(asked)
        messages = {name: one for name, one in triggers.items() if isinstance(one, MessageTrigger)}
        stations = {
            name: _station(name, table, sources[name], assignments[name].bundle, triggers.get(name))
            for name, table in tables.items()
        }
        for name, table in tables.items():
            if table.drift:
                reference = _drift_reference(inspector, name)
                monitor = DriftMonitor(reference, alarm_rate=line.watch.drift_alarm_rate)
                stations[name] = replace(stations[name], drift=monitor)
        stack.enter_context(UsageKeeper(inspector.usages, on_problem))
        stack.enter_context(listen_for_triggers(asked, triggers, _listening(line)))
        if line.watch.reload:
            stack.enter_context(_reloader(inspector, assignments, stations, on_problem, index))
        yield Line(sources, stations, inspector, journal, messages, output)


def check_line(line: LineFile, models: Path, *, base: Path = Path(), index: str | None = None) -> None:
    """Check what a line names, without opening a camera or a network.

    Args:
        line: The line's configuration.
        models: Directory of bundles.
        base: Directory that relative paths of the configuration refer to.
        index: Index to search banks with.

    Raises:
        PcedgeError: A bundle, a mask, an address, a secret or a setting cannot be used.
    """
    sources = _sources(line, base, follow=True, journal=None)
    for (name, source), table in zip(sources.items(), line.cameras, strict=True):
        trigger = make_triggers({} if table.trigger is None else {name: table.trigger}).get(name)
        _station(name, table, source, _assignment(table, models, base, index).bundle, trigger)
    open_sinks(line.sinks, Path())


def _sources(line: LineFile, base: Path, follow: bool, journal: Journal | None) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for camera in line.cameras:
        settings = CameraSettings(camera.size, camera.fps, camera.exposure, camera.focus)
        source = open_source(
            _address(camera, base),
            follow=follow,
            settings=settings,
            done=journal,
            open_s=line.watch.open_s,
            ca_file=str(base / camera.ca_file) if camera.ca_file else "",
            insecure=camera.insecure,
        )
        found[_free_name(camera.name or source.name, found)] = source
    return found


def _free_name(name: str, taken: Mapping[str, Source]) -> str:
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
    return next(one for one in names if one not in taken)


def _address(camera: CameraTable, base: Path) -> str:
    """The address; a relative path is resolved against the configuration's folder."""
    address = camera.address
    path = address.removeprefix("folder:")
    if not may_be_path(address) or Path(path).is_absolute() or not (base / path).exists():
        return address
    return f"{'folder:' if path != address else ''}{base / path}"


def _is_folder(camera: CameraTable, base: Path) -> bool:
    return may_be_path(camera.address) and (base / camera.address.removeprefix("folder:")).is_dir()


def _assignment(camera: CameraTable, models: Path, base: Path, index: str | None) -> Assignment:
    beside = base / camera.product
    product = str(beside) if camera.product and (beside / MANIFEST_FILE).is_file() else camera.product
    bundle = find_any_bundle(product or None, models).searched_by(index)
    mask = _mask(base / camera.mask) if camera.mask else None
    return Assignment(bundle, camera.threshold, _review(camera, bundle), mask)


def _review(camera: CameraTable, bundle: AnyBundle) -> float | bool | None:
    if camera.review is False:
        return None
    if camera.review is True and bundle.manifest.threshold.review is None:
        raise OptionError(
            f"The bundle {bundle.directory} has no threshold for REVIEW: too few good images.",
            "Name a score for it, or fit with more good images.",
        )
    return camera.review


def _mask(path: Path) -> NDArray[np.uint8]:
    mask_hw = read_mask(path)
    if mask_hw.min() == 255:
        raise OptionError(f"{path}: hides the whole image.", "White is what is ignored: invert it.")
    return mask_hw


def _station(
    name: str,
    camera: CameraTable,
    source: Source,
    bundle: AnyBundle,
    trigger: Trigger | None,
) -> Station:
    if isinstance(source, FolderSource) and (camera.trigger or camera.debounce):
        raise OptionError(
            f"{name}: the images of a folder are parts of their own.", "Leave trigger and debounce out."
        )
    limits = gate_limits(bundle) if camera.gate else None
    return Station(
        product=bundle.manifest.name,
        gate=FrameGate(limits, frozen_after=camera.frozen_after if source.live else 0),
        rule=_rule(name, camera, trigger),
        region_xywh=camera.region,
    )


def _drift_reference(inspector: InspectorPool, camera: str) -> DriftReference:
    assignment = inspector.assignment(camera)
    masked = assignment.mask_hw is not None
    return drift_reference(inspector.bundle(camera), threshold=assignment.threshold, masked=masked)


def _rule(name: str, camera: CameraTable, trigger: Trigger | None) -> PartRule:
    if camera.debounce is not None:
        return Debounced(*camera.debounce)
    table = camera.trigger
    if table is None or trigger is None:
        return EachFrame()
    return Triggered(trigger, frames=table.frames, timeout_s=table.timeout_s, source=name)


def _listening(line: LineFile) -> Listening:
    watch, mqtt = line.watch, line.sinks.mqtt
    token = read_secret("watch: trigger_token", env=watch.trigger_token_env)
    here = Listening(watch.trigger_host, watch.trigger_port, token)
    return here if mqtt is None else replace(here, broker=partial(mqtt_broker, mqtt), topic=mqtt.topic)


def _reloader(
    inspector: InspectorPool,
    assignments: Mapping[str, Assignment],
    stations: Mapping[str, Station],
    on_problem: OnProblem,
    index: str | None,
) -> Reloader:
    def reloaded(camera: str, bundle: AnyBundle) -> None:
        gate = stations[camera].gate
        if gate is not None and gate.limits is not None:
            gate.limits = gate_limits(bundle)
        drift = stations[camera].drift
        if drift is not None:
            drift.restart(_drift_reference(inspector, camera))

    directories = {name: assignment.bundle.directory for name, assignment in assignments.items()}
    return Reloader(inspector, directories, index=index, on_reload=reloaded, on_problem=on_problem)
