"""The sections of the module, one folder per panel: its .ui file and what drives its widgets.

A panel knows `jobs`, `scene` and `engine`, and no other panel; the module file puts them together.
"""
