"""The Claude Code template, where a program wants it as a package."""
