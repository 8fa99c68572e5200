"""Addresses of cameras: what may be shown, and passwords with characters that end an address."""

import re
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.address import AmbiguousAddressError, quoted, shown, without_addresses

SECRET = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=4, max_size=12)
WORDS = st.text("abcdefgh", min_size=4, max_size=8).map(lambda word: f"zq{word}")


@given(user=WORDS, password=WORDS, path=WORDS, query=WORDS, fragment=WORDS, value=WORDS)
def test_nothing_but_scheme_host_and_port_is_shown(
    user: str, password: str, path: str, query: str, fragment: str, value: str
) -> None:
    """A secret in the user, password, path, query (under whatever name) or fragment is gone, also within a text."""
    for login in (f"{user}:{password}@", f"{user}@", f":{password}@", ""):
        url = f"rtsp://{login}10.0.0.9:554/{path}/{value}_password={value}/?{query}={value}#{fragment}"
        assert shown(url) == "rtsp://10.0.0.9:554"
        text = without_addresses(f"[rtsp @ 0x55] method DESCRIBE of '{url}', failed: 401 for {url}")
        assert text == "[rtsp @ 0x55] method DESCRIBE of 'rtsp://10.0.0.9:554', failed: 401 for rtsp://10.0.0.9:554"


@given(password=SECRET, path=SECRET)
def test_no_part_of_a_password_is_taken_for_a_host(password: str, path: str) -> None:
    """Whatever characters a password or path holds: what is shown is the host, or nothing at all."""
    assert shown(f"rtsp://user:{password}@10.0.0.9:554/{path}") in ("rtsp://10.0.0.9:554", "rtsp://***")


@pytest.mark.parametrize("url", ["rtsp://user:se@cr/et@host/a", "rtsp://tok/en@host", "rtsp://user:12/3@cam/live"])
def test_what_cannot_be_told_apart_is_refused_and_not_shown(url: str) -> None:
    """An address that can be read in two ways is neither opened nor shown."""
    assert shown(url) == "rtsp://***"
    with pytest.raises(AmbiguousAddressError):
        quoted(url)


@pytest.mark.parametrize("password", ["pa#ss", "pa/ss", "pa?ss", "a@b", "50%", "#1/2?3", "p%23q", "ä&=+:;,"])
def test_a_password_with_any_character_reaches_the_camera(password: str) -> None:
    """Where it is unambiguous, what would end the address is written as % and its code; what is, stays."""
    parts = urlsplit(quoted(f"rtsp://admin:{password}@10.0.0.9:554/live?x=1"))
    assert (parts.hostname, parts.port, parts.path, parts.query) == ("10.0.0.9", 554, "/live", "x=1")
    assert parts.password is not None
    assert unquote(parts.password) == unquote(password)


@pytest.mark.parametrize(
    "url",
    ["rtsp://10.0.0.9/live@1", "http://cam.lan/a/b?c=d#e", "rtsp://u:p@[fe80::1]:554/x", "192.168.1.20", "rtsp://cam"],
)
def test_a_plain_address_is_left_as_it_is(url: str) -> None:
    """Nothing is changed where nothing must be."""
    assert quoted(url) == url
    assert not re.search("[ap]:p|live|/b|fe80::1.*/x", shown(url))
