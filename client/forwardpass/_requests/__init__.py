"""Requests of both clients, built without I/O: one function for each method of the services."""
