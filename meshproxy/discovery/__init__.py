"""Where configuration comes from: for now, a snapshot file."""
