"""The origin: instances that answer, with a capacity, with faults when a scenario asks for them, that count by id."""
