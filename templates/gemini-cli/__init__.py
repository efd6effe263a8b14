"""The Gemini CLI template, where a program wants it as a package."""
