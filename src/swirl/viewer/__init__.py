"""A local web application that shows every step of a run, also while it goes on. It reads, and never writes.

Whatever models, tools, data sets and judges have said is hostile here: templates escape it, and the browser is told to run nothing but our
own script (`swirl.viewer.access`).
"""
