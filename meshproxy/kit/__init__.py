"""Small pure tools with no word of the domain."""
