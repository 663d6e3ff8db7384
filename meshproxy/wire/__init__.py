"""What control plane and sidecar say to each other: resources, their names and versions, snapshot files."""
