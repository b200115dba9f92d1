"""Answers of the database, over Django's pool; who asks must get its own."""
