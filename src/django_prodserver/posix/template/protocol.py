"""What the supervisor and a template say to each other over their channel.

To a template:

    import MODULES  what it may import before it is needed, if it is started ahead of that
    run RUN         the mark of everything that belongs to the supervisor
    output          fds: its stdout and stderr from now on
    load STAGE      what to load, if it is not the first template
    fork INSTANCE MARK ENVIRON NUMBER    fds: stdout, stderr, held sockets, the pipe for "go on"
    stage STAGE NUMBER               fds: a channel, stdout, stderr, the same pipe
    errand TASK REQUEST MARK NUMBER  fds: stdout, stderr, a pipe for its answer, the same pipe
    watch GROUP, forget GROUP        process groups to kill if the supervisor is gone
    end

From a template:

    protocol VERSION, plan PLAN      comes first, from a template that is a program of its own
    loaded LOADED
    forked NUMBER PID, refused NUMBER REASON

A stage is a tuple of the oneshots before it, or None. A request is of bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .plan import Loaded, Plan

# With another version, nothing else can be understood.
VERSION = 2
# What comes from a template, and the types of its arguments.
FROM_TEMPLATE: Mapping[object, Sequence[type]] = {
    "protocol": [int],
    "plan": [Plan],
    "loaded": [Loaded],
    "forked": [int, int],
    "refused": [int, str],
}
# The word by which a process that was forked goes on, once the supervisor knows its pid.
GO = b"g"
# What a template is called, in `ps` and in the log.
NAME = "template"
