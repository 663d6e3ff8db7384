"""The data path: listeners, connections, exchanges."""
