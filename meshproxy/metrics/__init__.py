"""What is observed, and how it leaves: slots count, exposition is Prometheus text, access writes a line an exchange."""
