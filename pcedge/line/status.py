"""Status of a running watch: camera states, health, metrics, systemd notifications."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pcedge.camera import (
    CameraState,
    CameraStatus,
    Delivery,
    DriftMonitor,
    EventCounts,
    Health,
    HealthServer,
    MetricsTable,
    Reading,
    Stream,
    Tally,
    drift_readings,
    sink_readings,
)
from pcedge.core.repeating import Repeating

from .systemd_notify import SystemdNotifier

OnState = Callable[[CameraStatus], None]
_LOOK_S = 0.5


@dataclass(eq=False)
class Watched:
    """The observable parts of a running watch.

    Attributes:
        stream: The stream, with the status of every camera; its ``stop`` ends the watch.
        delivery: The delivery, with the status of every sink.
        tally: Counts so far.
        drift: Drift monitors by camera name.
    """

    stream: Stream
    delivery: Delivery
    tally: Tally
    drift: Mapping[str, DriftMonitor] = field(default_factory=dict)


def notify(notifier: SystemdNotifier, watched: Watched) -> None:
    """Send systemd's watchdog message; called by the inspecting thread, so that a hang is detected."""
    notifier.alive()
    if notifier.listened_to:
        states = (f"{one.name} {one.state.value}" for one in watched.stream.cameras)
        notifier.status(", ".join(states))


@contextmanager
def told_of_states(stream: Stream, on_state: OnState | None) -> Iterator[None]:
    """Report every change of a camera's state from a background thread, until the block ends."""
    if on_state is None:
        yield
        return
    known: dict[str, CameraState] = {}

    def look() -> None:
        for status in stream.cameras:
            if known.get(status.name, CameraState.STARTING) is not status.state:
                known[status.name] = status.state
                on_state(status)

    try:
        with Repeating(look, _LOOK_S, name="states", ends_within_s=_LOOK_S):
            yield
    finally:
        look()


def health_server(table: MetricsTable, watched: Watched, counts: EventCounts) -> HealthServer:
    """The HTTP server for metrics and health."""
    return HealthServer(
        table.host,
        table.port,
        readings=lambda: [
            *counts.readings(),
            *sink_readings(watched.delivery.faults()),
            *_readings(watched),
            *drift_readings(watched.drift),
        ],
        health=lambda: health(watched),
    )


def health(watched: Watched) -> Health:
    """Alive while any camera may still deliver images, ready while all of them do."""
    cameras = watched.stream.cameras
    over = {CameraState.FAILED, CameraState.ENDED}
    return Health(
        alive=not all(one.state in over for one in cameras),
        ready=all(one.state is CameraState.RUNNING for one in cameras),
        detail={
            "cameras": [one.to_dict() for one in cameras],
            "drift": {name: dict(one.moved) for name, one in watched.drift.items()},
        },
    )


def _readings(watched: Watched) -> list[Reading]:
    found: list[Reading] = []
    for one in watched.stream.cameras:
        camera = {"camera": one.name}
        counted = {
            "received": "Frames the camera gave.",
            "processed": "Frames taken to be judged.",
            "dropped": "Frames for which a newer one was taken.",
            "restarts": "Captures restarted because they stalled.",
        }
        found += [
            Reading(f"pcedge_camera_{name}", text, getattr(one, name), camera, "counter")
            for name, text in counted.items()
        ]
        found += [
            Reading(f"pcedge_camera_{name}_fps", "Frames per second, over 10 s.", value, camera)
            for name, value in (
                ("received", one.camera_fps),
                ("processed", one.processed_fps),
                ("dropped", one.dropped_fps),
            )
        ]
        found += [
            Reading("pcedge_camera_state", "1 for the state the camera is in.", one.state is state, labels)
            for state in CameraState
            for labels in [{**camera, "state": state.value}]
        ]
    return found
