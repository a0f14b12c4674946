import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from camera_api.quantities import redact_url

#: Words that stand nowhere else in the URLs of these tests.
USER, PASSWORD = "operatorX", "hunterX2"
#: What people put into passwords, delimiters of URLs included.
JUNK = st.text(alphabet="ab1:/?#[]@!$&'()*+,;=%\\ \n\tü", max_size=8)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://192.0.2.10:554/stream1", "rtsp://192.0.2.10:554/stream1"),
        ("rtsp://operatorX:hunterX2@192.0.2.10/stream1", "rtsp://192.0.2.10/stream1"),
        ("rtsp://192.0.2.10/live?user=operatorX&pwd=hunterX2", "rtsp://192.0.2.10/live"),
        ("rtsp://192.0.2.10/user=operatorX_password=hunterX2_channel=1", "rtsp://192.0.2.10/…"),
        ("rtsp://192.0.2.10/cam/user=operatorX&password=hunterX2/0", "rtsp://192.0.2.10/cam/…"),
        ("rtsps://[2001:db8::10]:322/main", "rtsps://[2001:db8::10]:322/main"),
        ("http://cam.example.org/video.mjpg#hunterX2", "http://cam.example.org/video.mjpg"),
        ("rtsp://operatorX:hun/terX2@192.0.2.10/stream1", "rtsp://…"),
        ("rtsp://operatorX:hun@terX2@192.0.2.10/stream1", "rtsp://192.0.2.10/stream1"),
        ("rtsp://cam:99999/stream1", "rtsp://cam/stream1"),
        ("rtsp://[2001:db8::10/main", "rtsp://…"),
        ("operatorX:hunterX2@192.0.2.10/stream1", "(not a URL)"),
        ("", "(not a URL)"),
    ],
)
def test_scheme_host_port_and_path_are_shown(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@given(JUNK, JUNK, JUNK, st.sampled_from(["rtsp", "rtsps", "http", "https", "mqtt"]))
@example("", "/", "", "rtsp")
@example("?", "@", "/", "rtsp")
@example("", "[", "", "http")
def test_user_info_is_never_shown(before: str, between: str, after: str, scheme: str) -> None:
    shown = redact_url(f"{scheme}://{USER}{before}:{between}{PASSWORD}{after}@192.0.2.10:554/stream1")
    assert USER.lower() not in shown.lower()
    assert PASSWORD.lower() not in shown.lower()


@given(JUNK, st.sampled_from(["user", "pwd", "anything"]))
@example("@", "pwd")
def test_parameters_are_never_shown(junk: str, name: str) -> None:
    for place in (f"/live?{name}={junk}{PASSWORD}", f"/{name}={junk}{PASSWORD}", f"?{junk}{PASSWORD}"):
        assert PASSWORD.lower() not in redact_url(f"rtsp://192.0.2.10{place}").lower()


@given(st.text(max_size=40))
def test_it_never_fails(text: str) -> None:
    redact_url(text)
    redact_url(f"rtsp://{text}")
