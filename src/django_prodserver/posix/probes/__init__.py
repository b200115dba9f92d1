"""Probes check whether a life answers, without ever blocking.

A target says what to probe, and how. A probe is one attempt: a few callbacks in the one poll. It
has no time limit: the code that started it cancels it. Its outcome is a text: why it failed, or
empty on success.
"""
