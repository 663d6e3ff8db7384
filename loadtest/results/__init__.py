"""What a run gave: histograms, sums, the comparison of what was sent with what was executed, and judgement."""
