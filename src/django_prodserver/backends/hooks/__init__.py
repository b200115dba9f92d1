"""All code that imports or wraps a piece of software is here, in a module of the software's name.

A backend imports that module inside its methods, so that importing a backend is cheap and needs no
software. Nothing here knows the backends: hooks import their software, and from `posix` the modules
that talk to the supervisor and the kernel (`FOR_HOOKS` in tests/test_architecture.py).
"""
