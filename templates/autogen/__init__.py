"""The AutoGen template, where a program wants it as a package."""
