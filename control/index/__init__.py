"""Pure reducers from objects to keyed indexes, and from a change to the resources that it touches."""
