"""Rules that bound what a workspace accepts, apart from the code that applies them."""
