"""Alembic migrations as package data. A migration that was released is never edited; a new one follows it."""
