"""Pure nouns of the engine; they import nothing but each other and `api`."""
