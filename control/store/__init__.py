"""Where objects live on one machine: SQLite beneath, memory above, one writer."""
