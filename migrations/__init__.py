"""Alembic's environment and the revisions, in order. A revision imports nothing of ours."""
