"""`prodctl top`: the table of `prodctl status` in a terminal, live, with keys that control it.

Threads query the supervisor, so that the keys work even if it does not answer. Text from processes
is shown literally: textual's markup and escape sequences have no effect.
"""
