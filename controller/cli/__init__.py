"""`wsr`, one module per verb."""
