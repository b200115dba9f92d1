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

A stage is a tuple of the oneshots before it, or None. A request is bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .plan import Loaded, Plan

# If the versions differ, no other message can be understood.
VERSION = 2
# The messages from a template, and the types of their arguments.
FROM_TEMPLATE: Mapping[object, Sequence[type]] = {
    "protocol": [int],
    "plan": [Plan],
    "loaded": [Loaded],
    "forked": [int, int],
    "refused": [int, str],
}
# Tells a forked process to go on, once the supervisor knows its pid.
GO = b"g"
# The name of a template, in `ps` and in the log.
NAME = "template"
