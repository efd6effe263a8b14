"""The loop that turns observations into actions until nothing is left to do."""
