"""A site that reads, while it is loaded, what oneshots have made."""
