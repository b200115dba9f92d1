"""Templates: processes that have loaded the project, and are forked for each life of it.

`parting` makes the program that was started a supervisor and its first template, and `handover` is
what the supervisor gets from it. `serve` is what a template does, `templates` what the supervisor
knows of all of them. They talk over a `channel`, `wire` packs what they say, `protocol` lists it,
and `plan` is the first thing that is said. `order` is how a program knows that it is a template.
"""
