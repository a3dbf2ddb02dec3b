"""Rows that share a request: those of concurrent callers, and those of a long iterator."""
