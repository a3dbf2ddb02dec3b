"""Commands of operation on a stored registry: backup, copy, verification and garbage collection."""
