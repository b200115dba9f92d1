"""All code that imports or wraps a software is in the module of its name here.

A backend imports that module inside its methods, so that to import a backend is cheap and needs no
software. Nothing here knows the backends: hooks import the software, and of `posix` what speaks to
the supervisor and the kernel (`FOR_HOOKS` in tests/test_architecture.py).
"""
