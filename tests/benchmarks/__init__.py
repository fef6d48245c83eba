"""What the package costs, in figures: `make bench`. A module each; none of them is a test, and none can fail."""
