"""From the index to the resources of the wire: pure functions, one resource at a time."""
