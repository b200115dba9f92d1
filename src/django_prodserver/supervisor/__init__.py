"""The decisions of the supervisor: pure, without Django and without an operating system."""
