"""The registry's storage: the port `Store`, and `SqlStore`, which implements it on SQLite and PostgreSQL."""
