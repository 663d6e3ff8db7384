"""The commands of meshload."""
