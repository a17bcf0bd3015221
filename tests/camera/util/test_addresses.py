import pytest

from pcedge.camera import redact


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://admin:hunter2@10.0.0.9:554/live", "rtsp://***@10.0.0.9:554/live"),
        ("rtsp://admin@cam.local/live", "rtsp://***@cam.local/live"),
        ("RTSPS://admin:hunter2@cam/live", "RTSPS://***@cam/live"),
        ("rtsp://u:p@[fe80::1]:554/live", "rtsp://***@[fe80::1]:554/live"),
        ("http://cam/stream?password=hunter2&fps=5", "http://cam/stream?password=***&fps=5"),
        (
            "http://cam/stream?fps=5&access_token=hunter2",
            "http://cam/stream?fps=5&access_token=***",
        ),
        ("http://cam/s?loginuse=me&loginpas=hunter2", "http://cam/s?loginuse=***&loginpas=***"),
        ("http://10.0.0.9:8080/@line/1", "http://10.0.0.9:8080/@line/1"),
        ("http://cam/@line/1", "http://cam/@line/1"),
        ("http://[::1]:80/@line/1", "http://[::1]:80/@line/1"),
        ("0", "0"),
        ("folder:/data/a:b@c", "folder:/data/a:b@c"),
        ("/data/pass=3/film.mp4", "/data/pass=3/film.mp4"),
        ("synthetic:?frames=5", "synthetic:?frames=5"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_login_but_otherwise_whole(uri: str, shown: str) -> None:
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
        "rtsp://10.0.0.9:554/user=admin_password=hunter2_channel=1_stream=0.sdp",
        "gst:rtspsrc location=rtsp://admin:hunter2@10.0.0.9/live ! decodebin ! appsink",
        'gst:rtspsrc location="rtsp://10.0.0.9/live" user-id=admin user-pw=hunter2 ! appsink',
        "http://cam/s?PWD=hunter2",
        "http://cam/s?api_key=hunter2#x",
        "rtsp://[:::admin:hunter2@/",
        "nonsense://:hunter2@",
    ],
)
def test_no_password_survives(uri: str) -> None:
    shown = redact(uri)

    assert "hunter2" not in shown
    assert "***" in shown


@pytest.mark.parametrize("uri", ["://@", "rtsp://", "@", ":@", "rtsp://[", "rtsp://%zz@%", "\0@\n"])
def test_malformed_addresses_raise_nothing(uri: str) -> None:
    assert isinstance(redact(uri), str)
