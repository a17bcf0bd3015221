"""Frames in, verdicts out: sources, the stream, the gate, events, pictures and sinks.

Useful alone: it knows nothing of networks and memory banks, and is handed a callable that turns a
:class:`Frame` into an :class:`Inspection`::

    from pcedge.camera import Stream, inspect_stream, one_by_one, open_source

    with Stream(open_source("folder:incoming")) as stream:
        summary = inspect_stream(stream, one_by_one(inspect), on_event=print)
"""

from .addresses import redact
from .aside import Aside, write_pictures
from .banner import banner, result_picture
from .betting import Capital
from .broker import Broker, Tls
from .capture import CameraSource
from .clips import ClipLength, Clips
from .credentials import Secret, read_secret
from .delivery import AnySink, Delivery
from .drift import USUAL_REJECTS, DriftMonitor, DriftReference
from .drift_quantities import RARE_ROWS, nominal_values, picture_values, score_values
from .drift_readings import drift_readings
from .drift_series import SeriesState
from .drivers import CameraSettings
from .event_store import EventStore
from .events import Event, Part, Phase, nearest_normal
from .explained import explained_picture, explanation_sheet, heat_legend
from .folder import FolderSource
from .frames import Explain, Explanation, Frame, Inspection, Region, Verdict, unexplained
from .gate import FrameGate, without_content
from .gate_learning import MARGIN as GATE_MARGIN
from .gate_learning import NominalPictures, learn_limits, learn_usual_limits
from .gate_limits import GateLimits, Glance, Look, PictureMeasures, glance
from .health import Health, HealthServer
from .identity import record_key
from .images import IMAGE_SUFFIXES, list_images, read_image, read_mask, write_image
from .journal import Journal, Journaled
from .json_lines import JsonLines
from .lane import Report
from .loop import Inspect, OnDrift, Outlet, inspect_stream, invalid, one_by_one
from .mqtt import MqttTransport
from .opening import mqtt_broker, open_sinks
from .outbox import Message, Outbox
from .overlay import HeatScale, draw_findings, heatmap_overlay
from .parts import Debounced, EachFrame, PartRule, Triggered, worst
from .posting import Backlog, Posted, Receipt, Sending, Transport
from .rank_test import Grid, RankTest, RateTest, rank_payoffs
from .readings import EventCounts, Reading, prometheus_text, sink_readings
from .regions import find_regions
from .reject_gate import GateState, RejectGate
from .retention import Retention
from .sink_settings import MetricsTable, MqttTable, PicturesTable, SinksTable, read_table
from .sinks import FrameSink, Pictures, Save, Sink
from .source import Grabbed, GrabbingSource, NoFrame, RenewableSource, Source, frame_name
from .sources import open_source
from .states import CameraState, CameraStatus
from .station import Station
from .stream import Stream
from .synthetic import DEFECT_KINDS, RenderedPart, SyntheticCamera, render_part, write_dataset
from .tally import Summary, Tally
from .trigger_http import HttpTriggers
from .trigger_mqtt import MqttTriggers
from .triggers import MessageTrigger, RegionTrigger, TimeTrigger, Trigger
from .video import VideoSource
from .webhook import WebhookTransport

__all__ = [
    "DEFECT_KINDS",
    "GATE_MARGIN",
    "IMAGE_SUFFIXES",
    "RARE_ROWS",
    "USUAL_REJECTS",
    "AnySink",
    "Aside",
    "Backlog",
    "Broker",
    "CameraSettings",
    "CameraSource",
    "CameraState",
    "CameraStatus",
    "Capital",
    "ClipLength",
    "Clips",
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
    "Glance",
    "Grabbed",
    "GrabbingSource",
    "Grid",
    "Health",
    "HealthServer",
    "HeatScale",
    "HttpTriggers",
    "Inspect",
    "Inspection",
    "Journal",
    "Journaled",
    "JsonLines",
    "Look",
    "Message",
    "MessageTrigger",
    "MetricsTable",
    "MqttTable",
    "MqttTransport",
    "MqttTriggers",
    "NoFrame",
    "NominalPictures",
    "OnDrift",
    "Outbox",
    "Outlet",
    "Part",
    "PartRule",
    "Phase",
    "PictureMeasures",
    "Pictures",
    "PicturesTable",
    "Posted",
    "RankTest",
    "RateTest",
    "Reading",
    "Receipt",
    "Region",
    "RegionTrigger",
    "RejectGate",
    "RenderedPart",
    "RenewableSource",
    "Report",
    "Retention",
    "Save",
    "Secret",
    "Sending",
    "SeriesState",
    "Sink",
    "SinksTable",
    "Source",
    "Station",
    "Stream",
    "Summary",
    "SyntheticCamera",
    "Tally",
    "TimeTrigger",
    "Tls",
    "Transport",
    "Trigger",
    "Triggered",
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
    "heat_legend",
    "heatmap_overlay",
    "inspect_stream",
    "invalid",
    "learn_limits",
    "learn_usual_limits",
    "list_images",
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
    "read_secret",
    "read_table",
    "record_key",
    "redact",
    "render_part",
    "result_picture",
    "score_values",
    "sink_readings",
    "unexplained",
    "without_content",
    "worst",
    "write_dataset",
    "write_image",
    "write_pictures",
]
