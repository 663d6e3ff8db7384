"""Decisions: values in, value out. `now` (monotonic seconds) and `rng` are arguments, never looked up."""
