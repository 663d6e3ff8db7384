"""The parts of a run as its parent process sees them: generator processes, the origin's process, changes, usage."""
