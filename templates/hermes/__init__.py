"""The Hermes template, where a program wants it as a package."""
