"""Numbers of instances over time."""

from math import inf

from loadtest.scenario.load import parse
from loadtest.scenario.references import lives, replacing

TEXT = """
name: x
origins: {a: {instances: 2}, b: {}}
changes:
  - {at: 5s, replace: {instance: 3, told: after, lead: 2s}}
  - {at: 1s, replace: {instance: 2, lead: 500ms}}
  - {at: 2s, replace: {origin: b, instance: 1}}
  - {at: 3s, control_plane: away}
load: {phases: [{for: 8s, rate: 1/s}]}
"""


def test_replacements_count_on_in_order_of_time():
    scenario = parse(TEXT)
    assert lives(scenario, "a") == {1: (0, inf), 2: (0, 1.5), 3: (1.0, 5.0), 4: (5.0, inf)}
    assert lives(scenario, "b") == {1: (0, 2.5), 2: (2.0, inf)}
    assert [change.at for change, _ in replacing(scenario, "a")] == [1.0, 5.0]


def test_all_that_are_there_from_the_beginning_may_be_replaced_then():
    text = TEXT.replace("at: 1s, replace: {instance: 2,", "at: 0s, replace: {instance: 2,")
    assert lives(parse(text), "a")[2] == (0, 0.5)


def test_faults_may_be_of_instances_that_come_later():
    assert parse(TEXT + "faults: [{for: 8s, origin: a, instances: [4], hang: true}]").faults[0].instances == [4]
