import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.wire import names
from meshproxy.wire.resources import Routes

LABEL = "a" * 63


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("routes/shop/reviews:80", ("routes", "shop", "reviews", 80)),
        ("backend/shop/reviews:1", ("backend", "shop", "reviews", 1)),
        (f"endpoints/{LABEL}/{LABEL}:65535", ("endpoints", LABEL, LABEL, 65535)),
        ("service/shop/reviews", ("service", "shop", "reviews", 0)),
        ("workload/shop/vm-1.example.com", ("workload", "shop", "vm-1.example.com", 0)),
    ],
)
def test_a_name_is_split_and_put_together_again(text, parts):
    assert names.parse(text) == parts
    assert str(names.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "routes", "routes/", "routes/shop", "routes/shop/a", "routes/shop/a:",
        "routes/shop/a:0", "routes/shop/a:080", "routes/shop/a:65536", "routes/shop/a:99999999", "routes/shop/a:+80",
        "routes/shop/a: 80", "routes/shop/a:80 ", "routes/shop/a:80\n", "routes/shop/a:\uff18\uff10",
        "routes/Shop/a:80", "routes/shop/-a:80", "routes/shop/a.b:80", "routes/shop/a/b:80", "routes//a:80",
        f"routes/shop/{LABEL}a:80", "service/shop/a:80", "service/shop/a.b",
        "workload/shop/", "workload/shop/a..b", "workload/shop/A", "workload/shop/" + "a." * 126 + "ab",
        "address/10.0.0.1:80", "Routes/shop/a:80", "routes/shop/a:80/x", "x" * 1000,
    ],
)  # fmt: skip
def test_any_other_spelling_is_refused(text):
    with pytest.raises(ValueError, match=r"allowed|at most"):
        names.parse(text)


@given(st.text(alphabet="ab-./:01K \n", max_size=30))
def test_what_is_parsed_has_exactly_this_spelling(text):
    for kind in names.TYPES:
        try:
            name = names.parse(f"{kind}/{text}")
        except ValueError:
            continue
        assert str(name) == f"{kind}/{text}"


def test_a_port_key_names_the_resources_of_its_port():
    key = names.parse_port_key("shop/reviews:80")
    assert str(key) == "shop/reviews:80"
    assert [key.name(kind) for kind in sorted(names.PORT_KINDS)] == [
        "backend/shop/reviews:80",
        "endpoints/shop/reviews:80",
        "routes/shop/reviews:80",
    ]
    assert names.TYPES["routes"] is Routes


@pytest.mark.parametrize("text", ["", "shop", "shop/a", "shop/a:x", "/a:80", "shop/:80", "a/shop/a:80", "shop/a:80:80"])
def test_a_malformed_port_key_is_refused(text):
    with pytest.raises(ValueError, match="NAMESPACE/SERVICE:PORT"):
        names.parse_port_key(text)
