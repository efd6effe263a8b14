"""Tools that every agent has, whatever its framework."""
