"""One module per step of a builder run; siblings do not import each other."""
