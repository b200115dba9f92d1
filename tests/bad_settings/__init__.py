"""Wrong settings, one file for each way to be wrong. Nothing of them is ever started.

A file is a settings module, as a user would write it, and can be tried:

    python -m django prodserver --all --settings=tests.bad_settings.replicas_0

Beside settings it has

MESSAGE      What `prodserver` says, a line for each mistake. A line that is indented goes on with
             the one before it. <keys of a process>, <keys of PRODUCTION_SUPERVISOR>,
             <keys of HEALTHCHECK> and <backends> stand for the list of all that there are, and
             [...] for words of other software that are not the same in each of its releases.
ENVIRONMENT  Variables that are set, if any are.

tests/corpus.py reads the files, tests/test_bad_settings.py tries them.
"""
