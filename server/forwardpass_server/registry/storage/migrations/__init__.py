"""Migrations of the registry's schema, with Alembic."""
