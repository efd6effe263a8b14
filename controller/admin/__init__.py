"""The HTTP endpoint: what may be told to a running loop, and what may be asked of it."""
