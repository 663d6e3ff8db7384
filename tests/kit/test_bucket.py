from meshproxy.kit.bucket import Bucket


def test_a_burst_is_let_through_and_then_the_rate():
    bucket = Bucket(4.0, 3)
    assert [bucket.admit(100.0) for _ in range(5)] == [True, True, True, False, False]
    assert [bucket.admit(100.125), bucket.admit(100.25), bucket.admit(100.25)] == [False, True, False]


def test_rest_fills_it_to_the_burst_and_not_beyond():
    bucket = Bucket(10.0, 3)
    for _ in range(3):
        bucket.admit(0.0)
    assert sum(bucket.admit(1_000.0) for _ in range(10)) == 3


def test_a_clock_that_stands_still_gives_nothing():
    bucket = Bucket(10.0, 1)
    assert bucket.admit(5.0)
    assert not bucket.admit(5.0)
