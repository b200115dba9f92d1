"""`prodserver --init`: what would run this project in production.

`look` finds out what the project has, `questions` asks the user, `proposal` decides, `texts` writes
it down, and `console` brings them together. Only `look` knows this machine, only `console` the
terminal.
"""
