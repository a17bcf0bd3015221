"""Camera side of an inspection: sources, stream, frame gate, events, drawing and sinks.

It works on its own: it does not depend on networks or memory banks. The caller passes a function that turns
a :class:`Frame` into an :class:`Inspection`::

    from pcedge.camera import Stream, inspect_stream, one_by_one, open_source

    with Stream(open_source("folder:incoming")) as stream:
        summary = inspect_stream(stream, one_by_one(inspect), on_event=print)
"""

from .drawing.explanation import explained_picture, explanation_sheet, heat_legend
from .drawing.heatmap import HeatScale, draw_findings, heatmap_overlay
from .drawing.regions import find_regions
from .drawing.verdict_banner import banner, result_picture
from .drift.martingale import Martingale
from .drift.monitor import USUAL_REJECTS, DriftMonitor, DriftReference
from .drift.quantities import RARE_ROWS, nominal_values, picture_values, score_values
from .drift.rank_test import Grid, RankTest, RateTest, rank_payoffs
from .drift.series import SeriesState
from .events.event import Event, Part, Phase, nearest_normal
from .events.key import record_key
from .events.tally import Summary, Tally
from .frames import Explain, Explanation, Frame, Inspection, Region, Verdict, unexplained
from .images import (
    IMAGE_SUFFIXES,
    RawMask,
    image_header,
    is_image_name,
    list_images,
    read_image,
    read_mask,
    read_raw_mask,
    why_no_image,
    write_image,
)
from .loop.inspection_loop import Inspect, OnDrift, Outlet, inspect_stream, invalid, one_by_one
from .loop.station import Station
from .parts.http_trigger import HttpTriggers
from .parts.mqtt_trigger import MqttTriggers
from .parts.region_trigger import RegionTable, RegionTrigger
from .parts.registry import TRIGGERS, listen_for_triggers, make_triggers, read_trigger
from .parts.rules import Debounced, EachFrame, PartRule, Triggered, worst
from .parts.time_trigger import TimeTrigger
from .parts.triggers import Listening, MessageTrigger, Trigger, TriggerKind, TriggerTable
from .quality.gate import FrameGate, without_content
from .quality.learning import MARGIN as GATE_MARGIN
from .quality.learning import NominalImages, learn_limits, learn_usual_limits
from .quality.limits import GateLimits, ImageMeasures, ImageStatistics, QualityResult, glance
from .sinks.base import FrameSink, ImageSink, Mending, Save, Sink
from .sinks.delivery import Delivery
from .sinks.files.clips import ClipLength, Clips
from .sinks.files.image_process import ImageProcess, write_pictures
from .sinks.files.jsonl import JsonLines
from .sinks.files.pictures import PicturesTable
from .sinks.files.retention import Retention
from .sinks.files.sqlite import EventStore
from .sinks.journaled import Journaled
from .sinks.registry import SINKS, SinksTable, open_sinks, read_sinks
from .sinks.remote.modbus import GateState, RejectGate
from .sinks.remote.mqtt import MqttTable, MqttTransport, mqtt_broker
from .sinks.remote.outbox import Message, Outbox
from .sinks.remote.sender import Backlog, Posted, Receipt, Sending, Transport
from .sinks.remote.webhook import WebhookTransport
from .sinks.settings import AnySink, MetricsTable, SinkKind, SinkTable, read_table
from .sinks.sink_queue import SinkStatus
from .sinks.text_output import QueuedText, TextOutput, has_descriptor
from .sources.base import Grabbed, GrabbingSource, NoFrame, RenewableSource, Source, frame_name
from .sources.capture import CameraSource
from .sources.drivers import CameraSettings
from .sources.folder import FolderSource
from .sources.journal import Journal
from .sources.kind import SourceKind, SourceOptions
from .sources.registry import SOURCES, may_be_path, open_source
from .sources.streams.container import Container
from .sources.streams.video import VideoSource
from .sources.synthetic.camera import DEFECT_KINDS, RenderedPart, SyntheticCamera, render_part, write_dataset
from .status.changes import Change, Changes
from .status.drift_metrics import drift_readings
from .status.health import Health, HealthServer
from .status.line_health import LineHealth, Trouble
from .status.metrics import EventCounts, Reading, prometheus_text, sink_readings
from .stream.state import CameraState, CameraStatus
from .stream.stream import Stream
from .util.addresses import redact
from .util.credentials import Secret, read_secret
from .util.mqtt_broker import Broker, Tls
from .util.output_files import is_writable_by_others
from .util.output_lock import OutputLock
from .util.supervisor import Repeating, Supervised, ThreadStatus, in_words, thread_states

__all__ = [
    "DEFECT_KINDS",
    "GATE_MARGIN",
    "IMAGE_SUFFIXES",
    "RARE_ROWS",
    "SINKS",
    "SOURCES",
    "TRIGGERS",
    "USUAL_REJECTS",
    "AnySink",
    "Backlog",
    "Broker",
    "CameraSettings",
    "CameraSource",
    "CameraState",
    "CameraStatus",
    "Change",
    "Changes",
    "ClipLength",
    "Clips",
    "Container",
    "Debounced",
    "Delivery",
    "DriftMonitor",
    "DriftReference",
    "EachFrame",
    "Event",
    "EventCounts",
    "EventStore",
    "Explain",
    "Explanation",
    "FolderSource",
    "Frame",
    "FrameGate",
    "FrameSink",
    "GateLimits",
    "GateState",
    "Grabbed",
    "GrabbingSource",
    "Grid",
    "Health",
    "HealthServer",
    "HeatScale",
    "HttpTriggers",
    "ImageMeasures",
    "ImageProcess",
    "ImageSink",
    "ImageStatistics",
    "Inspect",
    "Inspection",
    "Journal",
    "Journaled",
    "JsonLines",
    "LineHealth",
    "Listening",
    "Martingale",
    "Mending",
    "Message",
    "MessageTrigger",
    "MetricsTable",
    "MqttTable",
    "MqttTransport",
    "MqttTriggers",
    "NoFrame",
    "NominalImages",
    "OnDrift",
    "Outbox",
    "Outlet",
    "OutputLock",
    "Part",
    "PartRule",
    "Phase",
    "PicturesTable",
    "Posted",
    "QualityResult",
    "QueuedText",
    "RankTest",
    "RateTest",
    "RawMask",
    "Reading",
    "Receipt",
    "Region",
    "RegionTable",
    "RegionTrigger",
    "RejectGate",
    "RenderedPart",
    "RenewableSource",
    "Repeating",
    "Retention",
    "Save",
    "Secret",
    "Sending",
    "SeriesState",
    "Sink",
    "SinkKind",
    "SinkStatus",
    "SinkTable",
    "SinksTable",
    "Source",
    "SourceKind",
    "SourceOptions",
    "Station",
    "Stream",
    "Summary",
    "Supervised",
    "SyntheticCamera",
    "Tally",
    "TextOutput",
    "ThreadStatus",
    "TimeTrigger",
    "Tls",
    "Transport",
    "Trigger",
    "TriggerKind",
    "TriggerTable",
    "Triggered",
    "Trouble",
    "Verdict",
    "VideoSource",
    "WebhookTransport",
    "banner",
    "draw_findings",
    "drift_readings",
    "explained_picture",
    "explanation_sheet",
    "find_regions",
    "frame_name",
    "glance",
    "has_descriptor",
    "heat_legend",
    "heatmap_overlay",
    "image_header",
    "in_words",
    "inspect_stream",
    "invalid",
    "is_image_name",
    "is_writable_by_others",
    "learn_limits",
    "learn_usual_limits",
    "list_images",
    "listen_for_triggers",
    "make_triggers",
    "may_be_path",
    "mqtt_broker",
    "nearest_normal",
    "nominal_values",
    "one_by_one",
    "open_sinks",
    "open_source",
    "picture_values",
    "prometheus_text",
    "rank_payoffs",
    "read_image",
    "read_mask",
    "read_raw_mask",
    "read_secret",
    "read_sinks",
    "read_table",
    "read_trigger",
    "record_key",
    "redact",
    "render_part",
    "result_picture",
    "score_values",
    "sink_readings",
    "thread_states",
    "unexplained",
    "why_no_image",
    "without_content",
    "worst",
    "write_dataset",
    "write_image",
    "write_pictures",
]
