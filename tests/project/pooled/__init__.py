"""Answers of the database, over Django's pool; each client must get its own."""
