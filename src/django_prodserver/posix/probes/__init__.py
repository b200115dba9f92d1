"""Probes: whether a life answers, found out without ever waiting for the answer.

A target says what is to be probed and how. A probe is one try: a few callbacks in the one poll. It
has no time limit of its own; its starter cancels it. Its result is a text: why it failed, or
nothing.
"""
