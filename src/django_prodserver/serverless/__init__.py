"""The project as a cloud function: no server, no supervisor, one request at a time."""
