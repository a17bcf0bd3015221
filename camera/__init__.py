"""Frames in, verdicts out: sources, the stream, the gate, events, pictures and sinks.

Useful alone: it knows nothing of networks and memory banks, and is handed a callable that turns a
:class:`Frame` into an :class:`Inspection`::

    from pcedge.camera import Stream, inspect_stream, one_by_one, open_source

    with Stream(open_source("folder:incoming")) as stream:
        summary = inspect_stream(stream, one_by_one(inspect), on_event=print)
"""

from .addresses import redact
from .banner import banner, result_picture
from .capture import CameraSource
from .delivery import Delivery
from .events import Event, Part, Phase
from .folder import FolderSource
from .frames import Frame, Inspection, Region, Verdict
from .gate import FrameGate, without_content
from .gate_limits import MARGIN as GATE_MARGIN
from .gate_limits import GateLimits, learn_limits
from .images import IMAGE_SUFFIXES, list_images, read_image, read_mask, write_image
from .json_lines import JsonLines
from .journal import Journal, Journaled
from .loop import Outlet, inspect_stream, invalid, one_by_one
from .overlay import HeatScale, draw_findings, heatmap_overlay
from .parts import Debounced, EachFrame, PartRule, Triggered, worst
from .regions import find_regions
from .sinks import Pictures, Save, Sink
from .source import Grabbed, GrabbingSource, NoFrame, RenewableSource, Source, frame_name
from .sources import open_source
from .states import CameraState, CameraStatus
from .station import Station
from .stream import Stream
from .synthetic import DEFECT_KINDS, RenderedPart, SyntheticCamera, render_part, write_dataset
from .tally import Summary, Tally
from .triggers import MessageTrigger, RegionTrigger, TimeTrigger, Trigger
from .video import VideoSource

__all__ = [
    "DEFECT_KINDS",
    "GATE_MARGIN",
    "IMAGE_SUFFIXES",
    "CameraSource",
    "CameraState",
    "CameraStatus",
    "Debounced",
    "Delivery",
    "EachFrame",
    "Event",
    "FolderSource",
    "Frame",
    "FrameGate",
    "GateLimits",
    "Grabbed",
    "GrabbingSource",
    "HeatScale",
    "Inspection",
    "Journal",
    "Journaled",
    "JsonLines",
    "MessageTrigger",
    "NoFrame",
    "Outlet",
    "Part",
    "PartRule",
    "Phase",
    "Pictures",
    "Region",
    "RegionTrigger",
    "RenderedPart",
    "RenewableSource",
    "Save",
    "Sink",
    "Source",
    "Station",
    "Stream",
    "Summary",
    "SyntheticCamera",
    "Tally",
    "TimeTrigger",
    "Trigger",
    "Triggered",
    "Verdict",
    "VideoSource",
    "banner",
    "draw_findings",
    "find_regions",
    "frame_name",
    "heatmap_overlay",
    "inspect_stream",
    "invalid",
    "learn_limits",
    "list_images",
    "one_by_one",
    "open_source",
    "read_image",
    "read_mask",
    "redact",
    "render_part",
    "result_picture",
    "without_content",
    "worst",
    "write_dataset",
    "write_image",
]
