"""`prodserver --init`: propose settings that run this project in production.

`look` inspects the project, `questions` asks the user, `proposal` decides, `texts` renders the
result, and `console` connects them. Only `look` touches this machine, and only `console` the
terminal.
"""
