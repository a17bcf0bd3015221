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
from .clips import ClipLength, Clips
from .credentials import Secret, read_secret
from .delivery import AnySink, Delivery
from .event_store import EventStore
from .events import Event, Part, Phase
from .folder import FolderSource
from .frames import Frame, Inspection, Region, Verdict
from .gate import FrameGate, without_content
from .health import EventCounts, Health, HealthServer, Reading, prometheus_text, sink_readings
from .identity import record_key
from .images import IMAGE_SUFFIXES, list_images, read_image, read_mask, write_image
from .json_lines import JsonLines
from .lane import Report
from .loop import inspect_stream, invalid
from .mqtt import Broker, MqttTransport, Tls
from .opening import open_sinks
from .outbox import Message, Outbox
from .overlay import HeatScale, draw_findings, heatmap_overlay
from .posting import Backlog, Posted, Receipt, Sending, Transport
from .regions import find_regions
from .reject_gate import GateState, RejectGate
from .retention import Retention
from .sink_settings import MetricsTable, SinksTable, read_table
from .sinks import FrameSink, Pictures, Save, Sink
from .source import NoFrame, Source, frame_name
from .sources import open_source
from .stream import Stream
from .synthetic import DEFECT_KINDS, RenderedPart, SyntheticCamera, render_part, write_dataset
from .tally import Summary, Tally
from .video import VideoSource
from .webhook import WebhookTransport

__all__ = [
    "DEFECT_KINDS",
    "IMAGE_SUFFIXES",
    "AnySink",
    "Backlog",
    "Broker",
    "CameraSource",
    "ClipLength",
    "Clips",
    "Delivery",
    "Event",
    "EventCounts",
    "EventStore",
    "FolderSource",
    "Frame",
    "FrameGate",
    "FrameSink",
    "GateState",
    "Health",
    "HealthServer",
    "HeatScale",
    "Inspection",
    "JsonLines",
    "Message",
    "MetricsTable",
    "MqttTransport",
    "NoFrame",
    "Outbox",
    "Part",
    "Phase",
    "Pictures",
    "Posted",
    "Reading",
    "Receipt",
    "Region",
    "RejectGate",
    "RenderedPart",
    "Report",
    "Retention",
    "Save",
    "Secret",
    "Sending",
    "Sink",
    "SinksTable",
    "Source",
    "Stream",
    "Summary",
    "SyntheticCamera",
    "Tally",
    "Tls",
    "Transport",
    "Verdict",
    "VideoSource",
    "WebhookTransport",
    "banner",
    "draw_findings",
    "find_regions",
    "frame_name",
    "heatmap_overlay",
    "inspect_stream",
    "invalid",
    "list_images",
    "open_sinks",
    "open_source",
    "prometheus_text",
    "read_image",
    "read_mask",
    "read_secret",
    "read_table",
    "record_key",
    "redact",
    "render_part",
    "result_picture",
    "sink_readings",
    "without_content",
    "write_dataset",
    "write_image",
]
