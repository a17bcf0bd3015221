import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcedge.camera import redact


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://admin:hunter2@10.0.0.9:554/live", "rtsp://***@10.0.0.9:554/***"),
        ("rtsp://admin@cam.local/live", "rtsp://***@cam.local/***"),
        ("RTSPS://admin:hunter2@cam", "RTSPS://***@cam"),
        ("rtsp://u:p@[fe80::1]:554/", "rtsp://***@[fe80::1]:554/"),
        ("http://cam/stream?password=hunter2&fps=5", "http://cam/***"),
        ("http://10.0.0.9:8080/@line/1", "http://10.0.0.9:8080/***"),
        ("http://cam/@line/1", "http://cam/***"),
        ("http://[::1]:80/@line/1", "http://[::1]:80/***"),
        ("https://hooks.example.com", "https://hooks.example.com"),
        ("csi://0", "csi://0"),
        ("0", "0"),
        ("films/lid.mp4", "films/lid.mp4"),
        ("folder:/data/a:b@c", "folder:/data/a:b@c"),
        ("/data/pass=3/film.mp4", "/data/pass=3/film.mp4"),
        ("synthetic:?frames=5", "synthetic:?frames=5"),
        ("", ""),
    ],
)
def test_scheme_host_and_port_are_shown_and_sources_of_this_machine_whole(uri: str, shown: str) -> None:
    assert redact(uri) == shown


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://admin:hunt@hunter2@10.0.0.9/live",
        "rtsp://admin:hunter2/hunter2@10.0.0.9/live",
        "rtsp://admin:hunter2?hunter2#hunter2@10.0.0.9/live",
        "rtsp://admin:1/hunter2@10.0.0.9/live",
        "rtsp://admin:hun ter2 hunter2@10.0.0.9/live",
        "admin:hunter2@10.0.0.9/live",
        "rtsp//admin:hunter2@10.0.0.9/live",
        "rtsp:///admin:hunter2@10.0.0.9/live",
        "rtsp:/admin:hunter2@10.0.0.9/live",
        "//admin:hunter2@10.0.0.9/live",
        "rtsp admin hunter2",
        "rtsp://10.0.0.9:554/user=admin_password=hunter2_channel=1_stream=0.sdp",
        "gst:rtspsrc location=rtsp://admin:hunter2@10.0.0.9/live ! decodebin ! appsink",
        'gst:rtspsrc location="rtsp://10.0.0.9/live" user-id=admin user-pw=hunter2 ! appsink',
        "https://hooks.example.com/services/T00/B00/hunter2",
        "https://example.com/api?code=hunter2",
        "https://example.com/api?access=hunter2",
        "https://example.com/#hunter2",
        "http://cam/@hunter2/1",
        "http://cam:8080/@hunter2/1",
        "rtsp://[:::admin:hunter2@/",
        "nonsense://:hunter2@",
    ],
)
def test_nothing_else_survives(uri: str) -> None:
    shown = redact(uri)

    assert "hunter2" not in shown
    assert "***" in shown


@given(st.text(alphabet="au:/?#@&=[]%. \0\n", max_size=30))
def test_whatever_is_typed_around_a_login_hides_it(around: str) -> None:
    for uri in (f"rtsp://{around}:hunter2@cam/1", f"https://{around}/hunter2", f"http://{around}?x=hunter2"):
        assert "hunter2" not in redact(uri)
