"""The history of the schema, as Alembic migrations. They are package data of the library."""
