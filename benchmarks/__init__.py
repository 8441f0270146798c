"""Speed and memory as ratios and medians within one run: `make bench`."""
