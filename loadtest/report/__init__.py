"""Results as people read them: a live line, tables, and a page."""
