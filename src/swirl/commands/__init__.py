"""The commands, a file each or a few that belong together: what they are told (their flags, which are the configuration's own dataclasses,
and the help beside them), and what they do with it.
"""
