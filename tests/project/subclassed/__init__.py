"""Commands that inherit from those of the software, as Django suggests."""
