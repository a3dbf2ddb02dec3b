"""Migrations of the registry's schema, by Alembic."""
