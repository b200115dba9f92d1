"""`prodctl top`: the table of `prodctl status` in a terminal, live, with keys that control it.

Threads ask the supervisor, so that the keys work whatever it does. Text of processes is shown as it
is: textual's markup and escape sequences have no meaning in it.
"""
