"""The catalog's schema through time: Alembic's folder, run by storage/migrating.py.

A revision is frozen once released: it names its tables and types itself and imports nothing of storage/ that may
change. MySQL commits at every CREATE and ALTER, so that a revision may have been interrupted after any of its
statements: each looks at what is there, or says what shall be there and does no harm when it is.
"""
