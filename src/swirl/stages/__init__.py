"""The stages of a run, each a function of the run folder: what it reads, what it writes, where it resumes.

Work is cut into fixed chunks that are committed whole; a stage that was killed goes on after the last whole chunk, and the result is the
same as if it had never been disturbed. Commands and studies call these; the method itself is in the files named after it.
"""
