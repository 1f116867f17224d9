"""`make demo`: the main job through the Slicer module, on the headless host."""
