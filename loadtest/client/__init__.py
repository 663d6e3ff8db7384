"""The generator: processes that send requests when they are due, and count what came of them."""
