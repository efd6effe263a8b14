"""Pure verbs: what changed, which state we are in, what comes next."""
