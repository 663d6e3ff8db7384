"""Where configuration comes from: a snapshot file, or the push stream of a control plane (`client.py`)."""
