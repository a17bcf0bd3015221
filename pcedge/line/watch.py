"""Watching: judge frames of one or several cameras or folders and deliver the verdicts to sinks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import cast

from pcedge.camera import (
    AnySink,
    Delivery,
    Event,
    EventCounts,
    Frame,
    FrameGate,
    Inspect,
    Inspection,
    Journal,
    Journaled,
    LineHealth,
    MetricsTable,
    OnDrift,
    OutputLock,
    PicturesTable,
    Save,
    Sink,
    SinksTable,
    SinkStatus,
    Source,
    Station,
    Stream,
    Summary,
    Tally,
    inspect_stream,
    one_by_one,
    open_sinks,
)
from pcedge.errors import OptionError
from pcedge.inspection.detector import AnyDetector, Detector
from pcedge.methods import AnyBundle

from .open_line import Line
from .runtime_choice import RuntimeOptions, proved
from .shared_networks import SharedNetworks, warm_up
from .status import OnChange, OnState, Teller, Watched, health_server, notify
from .systemd_notify import SystemdNotifier

EVENTS_FILE = "events.jsonl"
PICTURES_FOLDER = "pictures"

OnEvent = Callable[[Event, Frame, Inspection], None]
_PATIENCE_S = 10.0
_LIVE_END_S, _FILES_END_S = 15.0, 120.0


@dataclass(frozen=True)
class WatchOptions:
    """Options of watching.

    Attributes:
        output: Directory for ``events.jsonl`` (appended to) and ``pictures/``; an event's ``files`` are
            relative to it.
        save: Frames whose images are kept: ``flagged`` (every verdict but OK), ``all`` or ``none``.
        max_frames: Stop after this number of frames.
        max_seconds: Stop after this time.
        frozen_after: A live camera that repeats an image this many times is INVALID; 0 disables the check.
        sinks: Additional sinks; None for the files above only. Their ``pictures.save`` then overrides
            ``save``.
        metrics: Address of the metrics and health server; None for no server.
        batch: Maximum number of frames of several cameras judged together, if that is faster than one after
            the other.
        stall_s: Seconds without an image after which a camera is restarted; 0 for never.
        open_s: Seconds that a network camera may take to answer when it is opened.
    """

    output: Path
    save: Save = "flagged"
    max_frames: int | None = None
    max_seconds: float | None = None
    frozen_after: int = 25
    sinks: SinksTable | None = None
    metrics: MetricsTable | None = None
    batch: int = 8
    stall_s: float = 10.0
    open_s: float = 15.0

    def __post_init__(self) -> None:
        if self.max_seconds is not None and not isfinite(self.max_seconds):
            raise OptionError(
                f"{self.max_seconds} seconds is no time.", "Leave --max-seconds out to watch without end."
            )


OnReady = Callable[[Watched], None]


def watch(
    product: AnyBundle | AnyDetector,
    source: Source,
    options: WatchOptions,
    *,
    unverified: bool = False,
    on_ready: OnReady | None = None,
    on_event: OnEvent | None = None,
    tally: Tally | None = None,
) -> Summary:
    """Judge every frame of a source until it ends, is stopped, or reaches a limit.

    Args:
        product: An exported bundle, which is verified on this machine before the first frame. An inspector
            from ``open_inspector`` is not verified: it is accepted only with ``unverified``.
        source: The source, not yet opened.
        options: Where results go and when to stop.
        unverified: Judge without verification.
        on_ready: Called with the :class:`Watched` once the first frame may come.
        on_event: Called for every frame, after its event was delivered.
        tally: Counts; pass one to read it while the watch runs.

    Raises:
        OptionError: An inspector was passed without ``unverified``.
        ExportError: The bundle does not score like its reference on this machine.
        PcedgeError: The bundle cannot be run, or the source cannot be opened or has failed permanently.
    """
    gate = FrameGate(frozen_after=options.frozen_after if source.live else 0)
    with _only_writer(options.output, None), _ready_to_judge(product, unverified) as inspector:
        return _watch(
            source,
            one_by_one(lambda frame: _inspect(inspector, frame)),
            {source.name: Station(gate=gate)},
            _Sinks(options),
            _Watchers(on_ready, on_event),
            tally or Tally(),
        )


@contextmanager
def _ready_to_judge(product: AnyBundle | AnyDetector, unverified: bool) -> Iterator[AnyDetector]:
    if not isinstance(product, Detector):
        networks = SharedNetworks(proved(RuntimeOptions(unverified=unverified)))
        try:
            yield networks.load(product).inspector
        finally:
            networks.close_unused()
    elif unverified:
        warm_up(product)
        yield product
    else:
        raise OptionError(
            "An inspector carries no proof that it scores like the reference on this machine.",
            "Hand watch the bundle, which is proved first; or say unverified=True.",
        )


def watch_line(
    line: Line,
    options: WatchOptions,
    *,
    on_ready: OnReady | None = None,
    on_event: OnEvent | None = None,
    on_state: OnState | None = None,
    on_drift: OnDrift | None = None,
    on_change: OnChange | None = None,
    tally: Tally | None = None,
    outputs: Mapping[str, AnySink] | None = None,
    beside: Callable[[], Iterable[SinkStatus]] = tuple,
) -> Summary:
    """Judge the frames of all cameras of a line until they end, are stopped, or reach a limit.

    Args:
        line: The line, from ``open_line``.
        options: Where results go and when to stop.
        on_ready: Called with the :class:`Watched` once the first frame may come.
        on_event: Called for every frame, after its event was delivered.
        on_state: Called from another thread whenever a camera's state changes.
        on_drift: Called whenever a camera drifts or recovers.
        on_change: Called from another thread when a sink or a thread is in trouble or has recovered, and when
            the clock has jumped.
        tally: Counts; pass one to read it while the watch runs.
        outputs: Sinks besides those of the options, by name.
        beside: Returns the status of sinks that get no events, such as a log.

    Raises:
        OutputError: Somebody else writes to the output directory.
        PcedgeError: No source can be opened, or all have ended and one has failed permanently.
    """
    watchers = _Watchers(on_ready, on_event, on_state, on_drift, on_change)
    if not line.inspector.gains_from_batches:
        options = replace(options, batch=1)
    inspect = line.inspector.inspect
    sinks = _Sinks(options, line.journal, outputs or {}, beside)
    with _only_writer(options.output, line.output):
        return _watch(line.sources, inspect, line.stations, sinks, watchers, tally or Tally())


@dataclass(frozen=True)
class _Watchers:
    """Callbacks of a watch."""

    on_ready: OnReady | None = None
    on_event: OnEvent | None = None
    on_state: OnState | None = None
    on_drift: OnDrift | None = None
    on_change: OnChange | None = None


def _watch(
    sources: Source | Mapping[str, Source],
    inspect: Inspect,
    stations: Mapping[str, Station],
    sinks: "_Sinks",
    watchers: _Watchers,
    tally: Tally,
) -> Summary:
    options, counts = sinks.options, EventCounts()
    named = sources.values() if isinstance(sources, Mapping) else (sources,)
    # The stream is closed before the sinks, so that they get all results.
    with sinks.delivery(counts, live=any(one.live for one in named)) as delivery, ExitStack() as stack:
        stream = stack.enter_context(Stream(sources, stall_s=options.stall_s, open_s=options.open_s))
        monitors = {name: one.drift for name, one in stations.items() if one.drift is not None}
        watched = Watched(stream, delivery, tally, LineHealth(stream, delivery, tally), monitors)
        teller = stack.enter_context(Teller(watched, watchers.on_state, watchers.on_change))
        if options.metrics is not None:
            stack.enter_context(health_server(options.metrics, watched, counts))
        notifier = stack.enter_context(SystemdNotifier.from_environment())
        stack.callback(notifier.stopping)
        notifier.ready()
        if watchers.on_ready is not None:
            watchers.on_ready(watched)
        inspect_stream(
            stream,
            inspect,
            stations=stations,
            outlet=delivery if stream.live else _Patient(delivery),
            on_event=watchers.on_event,
            on_turn=lambda: notify(notifier, watched),
            on_drift=watchers.on_drift,
            tally=tally,
            batch=options.batch,
            max_frames=options.max_frames,
            max_seconds=options.max_seconds,
        )
        _count_troubles(watched, tally)
    teller.look()
    _count_faults(delivery, tally)
    return tally.summary()


class _Patient:
    """For a line without cameras: waits until every sink has room, since files can wait."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def names(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
        """File names of the images of a frame."""
        return self._delivery.names(frame, inspection)

    def put(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Pass on an event."""
        self._delivery.wait_for_room(_PATIENCE_S)
        self._delivery.put(event, frame, inspection)


@dataclass(frozen=True)
class _Sinks:
    """The sinks of a watch.

    Attributes:
        options: Options, with the configured sinks.
        journal: Journal of judged files.
        outputs: Further sinks.
        beside: Status of sinks that get no events.
    """

    options: WatchOptions
    journal: Journal | None = None
    outputs: Mapping[str, AnySink] = field(default_factory=dict)
    beside: Callable[[], Iterable[SinkStatus]] = tuple

    def delivery(self, counts: EventCounts, *, live: bool) -> Delivery:
        """Create the delivery; for a line without cameras it waits longer for slow sinks at the end."""
        table = self.options.sinks or SinksTable({"pictures": PicturesTable(save=self.options.save)})
        sinks = open_sinks(table, self.options.output)
        delivery: Delivery
        if self.journal is not None and table.jsonl.enabled:
            events = cast(Sink, sinks["jsonl"])
            sinks["jsonl"] = Journaled(
                events, self.journal, lambda: delivery.wait_for_others("jsonl", _PATIENCE_S)
            )
        delivery = Delivery(
            {**sinks, **self.outputs, "counts": counts},
            close_within_s=_LIVE_END_S if live else _FILES_END_S,
            beside=self.beside,
        )
        return delivery


@contextmanager
def _only_writer(output: Path, held: Path | None) -> Iterator[None]:
    """Lock the output directory, unless the line holds it."""
    if held is not None and held.resolve() == output.resolve():
        yield
        return
    with OutputLock(output, "pcedge watch"):
        yield


def _count_troubles(watched: Watched, tally: Tally) -> None:
    """Note cameras and threads that are in trouble when the loop ends; those that come back do not count."""
    watched.health.ended()
    for one in watched.health.troubles():
        if one.part != "sink":
            tally.add_fault(f"{one.part} {one.name}: {one.reason}", int(one.deadly))


def _count_faults(delivery: Delivery, tally: Tally) -> None:
    """Count what the sinks have lost, or have not delivered when they are closed."""
    for report in delivery.faults():
        if report.lost or report.abandoned:
            tally.add_fault(f"{report.name}: {report.last_fault}", max(report.lost, 1))
        elif report.faulty:
            tally.add_fault(f"{report.name}: {report.last_fault}")
        if report.waiting and report.name in delivery.sinks:
            why = report.last_fault or "it was too slow"
            tally.add_fault(f"{report.name}: {report.waiting} wait for the next start: {why}", report.waiting)


def _inspect(inspector: AnyDetector, frame: Frame) -> Inspection:
    assert frame.image_rgb is not None  # frames without an image are INVALID before they come here
    return inspector.inspect(frame.image_rgb)
