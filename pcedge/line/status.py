"""Status of a running watch: camera states, health, metrics, systemd notifications."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

from pcedge.camera import (
    CameraState,
    CameraStatus,
    Change,
    Changes,
    Delivery,
    DriftMonitor,
    EventCounts,
    Health,
    HealthServer,
    LineHealth,
    MetricsTable,
    Reading,
    Repeating,
    Stream,
    Tally,
    drift_readings,
    sink_readings,
    thread_states,
)
from pcedge.core.text import counted

from .systemd_notify import SystemdNotifier

OnState = Callable[[CameraStatus], None]
OnChange = Callable[[Change], None]
_LOOK_S = 0.5


@dataclass(eq=False)
class Watched:
    """The observable parts of a running watch.

    Attributes:
        stream: The stream, with the status of every camera; its ``stop`` ends the watch.
        delivery: The delivery, with the status of every sink.
        tally: Counts so far.
        health: Health of all of them.
        drift: Drift monitors by camera name.
    """

    stream: Stream
    delivery: Delivery
    tally: Tally
    health: LineHealth
    drift: Mapping[str, DriftMonitor] = field(default_factory=dict)

    def end(self, sinks_within_s: float) -> None:
        """End the watch soon, from any thread: the sinks get so long for what waits."""
        self.stream.stop()
        self.delivery.hurry(sinks_within_s)


def notify(notifier: SystemdNotifier, watched: Watched) -> None:
    """Say that judging goes on, also to systemd; called by the inspecting thread, so that a hang shows."""
    watched.health.turned()
    notifier.alive()
    if notifier.listened_to:
        states = (f"{one.name} {one.state.value}" for one in watched.stream.cameras)
        notifier.status(", ".join(states))


class Teller:
    """Reports every change of a camera's state and of the health from a background thread, within a block.

    Args:
        watched: What is watched.
        on_state: Called with the new state of a camera.
        on_change: Called with any other change.
    """

    def __init__(self, watched: Watched, on_state: OnState | None, on_change: OnChange | None) -> None:
        self._watched = watched
        self._on_state = on_state
        self._on_change = on_change
        self._states: dict[str, CameraState] = {}
        self._changes = Changes()
        self._left_out: dict[str, int] = {}
        self._looking = Repeating(self.look, _LOOK_S, name="changes", ends_within_s=_LOOK_S)

    def __enter__(self) -> "Teller":
        self._looking.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._looking.__exit__(kind, error, trace)

    def look(self) -> None:
        """Report what has changed since the last look; also called once more at the end."""
        if self._on_state is not None:
            for status in self._watched.stream.cameras:
                if self._states.get(status.name, CameraState.STARTING) is not status.state:
                    self._states[status.name] = status.state
                    self._on_state(status)
        if self._on_change is not None:
            troubles = self._watched.health.troubles()
            sinks = self._watched.delivery.faults()
            for change in self._changes.since_last(troubles, sinks, thread_states()):
                self._on_change(change)
            for status in self._watched.stream.cameras:
                self._tell_left_out(status, self._on_change)

    def _tell_left_out(self, status: CameraStatus, tell: OnChange) -> None:
        count = sum(status.left_out.values())
        # At 1, 2, 4, ...: a folder into which much else is written fills no log.
        if count and count >= 2 * self._left_out.get(status.name, 0):
            self._left_out[status.name] = count
            tell(Change("files", status.name, "NOTE", f"not judged: {counted(status.left_out)}"))


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
    """The health of the inspection, with what has drifted."""
    found = watched.health.health()
    drift = {name: dict(one.moved) for name, one in watched.drift.items()}
    return replace(found, detail={**found.detail, "drift": drift})


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
