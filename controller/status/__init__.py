"""Conditions and the one summarizer; the writer writes only differences."""
