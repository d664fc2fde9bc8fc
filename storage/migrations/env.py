"""What Alembic executes: the revisions, on the connection and in the transaction of storage/migrating.py."""

from __future__ import annotations

from alembic import context

context.configure(**context.config.attributes)
context.run_migrations()
