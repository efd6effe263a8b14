"""One module per source of truth; each reads it and decides nothing."""
