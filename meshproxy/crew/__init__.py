"""Several workers behind one sidecar: processes that share its listeners' ports, one push stream, one admin address."""
