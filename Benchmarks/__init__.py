"""Sluice beside what else feeds the body of a URL to a program.

`python -m Benchmarks run` runs the cases and writes docs/benchmarks.md, `python -m Benchmarks check` compares a few numbers
with the recorded ones. `make bench`, `make bench-short` and `make bench-check` call them.

origin       nginx, with its files and certificates
service      a sluiced of our own
contenders   the command lines of everything that is compared
cases/       what is measured, a file for each question
processes    starting programs; CPU time, memory and wake-ups of whole process trees
arithmetic   medians and ratios
report       the table and the document; plots draws the pictures
guard        what was recorded, and what counts as worse; counting and tracing get figures that do not depend on time
"""
