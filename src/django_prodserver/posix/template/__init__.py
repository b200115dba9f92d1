"""Templates: processes that have loaded the project, and are forked for each life of it.

`parting` turns the program that was started into a supervisor and its first template, and
`handover` is what the supervisor gets from it. `serve` is the template's side, `templates` the
supervisor's. They talk over a `channel`; `wire` packs the messages, `protocol` lists them, and
`plan` describes the project. `order` tells a program that it is to be a template.
"""
