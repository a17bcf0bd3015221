"""Frames in, verdicts out: sources, the stream, the gate, events, pictures and sinks.

Useful alone: it knows nothing of networks and memory banks, and is handed a callable that turns a
:class:`Frame` into an :class:`Inspection`::

    from pcedge.camera import JsonLines, Stream, inspect_stream, open_source

    with Stream(open_source("folder:incoming")) as stream:
        summary = inspect_stream(stream, inspect, sinks=[JsonLines("events.jsonl")])
"""

from .addresses import redact
from .banner import banner, result_picture
from .capture import CameraSource
from .events import Event, Part, Phase
from .folder import FolderSource
from .frames import Frame, Inspection, Region, Verdict
from .gate import FrameGate, without_content
from .images import IMAGE_SUFFIXES, list_images, read_image, read_mask, write_image
from .loop import inspect_stream, invalid
from .overlay import HeatScale, draw_findings, heatmap_overlay
from .regions import find_regions
from .sinks import JsonLines, Pictures, Save, Sink
from .source import NoFrame, Source, frame_name
from .sources import open_source
from .stream import Stream
from .synthetic import DEFECT_KINDS, RenderedPart, SyntheticCamera, render_part, write_dataset
from .tally import Summary, Tally
from .video import VideoSource

__all__ = [
    "DEFECT_KINDS",
    "IMAGE_SUFFIXES",
    "CameraSource",
    "Event",
    "FolderSource",
    "Frame",
    "FrameGate",
    "HeatScale",
    "Inspection",
    "JsonLines",
    "NoFrame",
    "Part",
    "Phase",
    "Pictures",
    "Region",
    "RenderedPart",
    "Save",
    "Sink",
    "Source",
    "Stream",
    "Summary",
    "SyntheticCamera",
    "Tally",
    "Verdict",
    "VideoSource",
    "banner",
    "draw_findings",
    "find_regions",
    "frame_name",
    "heatmap_overlay",
    "inspect_stream",
    "invalid",
    "list_images",
    "open_source",
    "read_image",
    "read_mask",
    "redact",
    "render_part",
    "result_picture",
    "without_content",
    "write_dataset",
    "write_image",
]
