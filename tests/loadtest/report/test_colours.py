from __future__ import annotations

from itertools import combinations

from loadtest.outcome import WORDS
from loadtest.report import colours


def test_a_family_keeps_its_colour_whoever_else_is_there():
    alone = colours.subjects(["envoy"])
    among = colours.subjects(["direct", "meshproxy", "meshproxy-mtls", "haproxy", "http://127.0.0.1:80", "envoy"])
    assert alone["envoy"] == among["envoy"] == colours.Line(colours.VERMILION)
    assert among["direct"].colour == colours.GREY
    assert among["meshproxy"].colour == colours.BLUE


def test_no_two_subjects_look_alike():
    names = ["direct", "envoy", "haproxy", *(f"http://127.0.0.1:{port}" for port in range(8080, 8086))]
    names += ["meshproxy", "meshproxy-mtls", "meshproxy-control", "meshproxy-control-mtls"]
    found = colours.subjects(names)
    assert list(found) == names
    assert all(one != other for one, other in combinations(found.values(), 2))


def test_a_name_that_only_begins_like_a_family_is_none_of_it():
    assert colours.subjects(["envoyage"])["envoyage"].colour != colours.VERMILION


def test_every_outcome_has_a_colour_of_its_own_and_answers_come_first():
    found = colours.outcomes([*WORDS, "503", "500", "404", "200", "301"])
    assert list(found)[:2] == ["200", "301"]
    assert len({line.colour for line in found.values()}) == len(found)


def test_instances_can_be_told_apart_as_far_as_they_are_drawn():
    found = [colours.instance(number) for number in range(1, 13)]
    assert all(one != other for one, other in combinations(found, 2))
