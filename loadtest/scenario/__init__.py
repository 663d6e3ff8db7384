"""The language of scenarios: what may stand in a file, where a mistake is, and the file told in words."""
