"""A site that reads the results of oneshots while it is imported."""
