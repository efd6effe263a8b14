"""The Deep Agents template, where a program wants it as a package."""
