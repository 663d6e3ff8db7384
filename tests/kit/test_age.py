import pytest

from meshproxy.kit.age import age_of, shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "60s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (659, "10m"),
        (3600, "1h"),
        (3700, "1h1m"),
        (8 * 3600 + 60, "8h"),
        (86400, "1d"),
        (90000, "1d1h"),
        (8 * 86400 + 7200, "8d"),
        (365 * 86400, "1y"),
        (366 * 86400, "1y1d"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds, text):
    assert shown(seconds) == text


def test_ages():
    assert age_of("1970-01-01T00:01:00Z", 65.0) == "5s"
    assert age_of("", 65.0) == "<unknown>"
    assert age_of("yesterday", 65.0) == "<unknown>"
