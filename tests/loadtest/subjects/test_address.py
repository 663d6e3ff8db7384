from __future__ import annotations

import pytest

from loadtest.scenario.model import Policy
from loadtest.subjects.address import There
from loadtest.subjects.subject import Instance, SubjectError


@pytest.mark.parametrize(
    ("url", "address", "host"),
    [
        ("http://127.0.0.9:8080", ("127.0.0.9", 8080), "127.0.0.9:8080"),
        ("http://127.0.0.9/", ("127.0.0.9", 80), "127.0.0.9"),
        ("http://localhost:81", ("127.0.0.1", 81), "localhost:81"),
    ],
)
async def test_every_origin_is_at_the_address(url: str, address: tuple[str, int], host: str) -> None:
    subject = There(url)
    entries = await subject.start({"echo": [], "other": []}, Policy())
    assert list(entries) == ["echo", "other"]
    for entry in entries.values():
        assert (list(entry.addresses), entry.host) == ([address], host)
    assert await subject.update({"echo": [Instance(1, ("127.0.0.3", 1))]}) == {"echo": entries["echo"]}
    assert host in subject.configuration()["command"]
    assert subject.children() == ()
    await subject.stop()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://127.0.0.9", "does not speak TLS"),
        ("http://127.0.0.9:8080/path", "nothing behind it"),
        ("http://user@127.0.0.9", "nothing behind it"),
        ("http://:80", "http://HOST:PORT"),
        ("http://127.0.0.9:0", "http://HOST:PORT"),
        ("http://127.0.0.9:70000", "0-65535"),
        ("ftp://127.0.0.9", "http://HOST:PORT"),
    ],
)
def test_another_text_is_refused_with_what_is_allowed(url: str, says: str) -> None:
    with pytest.raises(SubjectError, match=r"allowed|http://") as caught:
        There(url)
    assert says in str(caught.value)
    assert url in str(caught.value)


async def test_a_name_that_nobody_knows_is_told_at_the_start() -> None:
    with pytest.raises(SubjectError, match=r"nobody\.invalid has no IPv4 address"):
        await There("http://nobody.invalid:80").start({"echo": []}, Policy())
