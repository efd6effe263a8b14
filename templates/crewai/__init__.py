"""The CrewAI template, where a program wants it as a package."""
