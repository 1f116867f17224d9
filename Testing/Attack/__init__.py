"""Our own attack: hostile models and datasets, bad inputs, kills and full disks, and a tally of what they did.

    python -m Testing.Attack [--only FAMILY …] [--seed N] [--generated N] [--sample N] [--verbose]

A case is a row of a table in `cases/`: what is spoilt, which verb then meets it, and what may happen. It runs in a
child process with limits, in a place of its own that is watched from outside.
"""
