"""What Slicer sees of SegAutoPlan: the scene bridge, the panels, the starting and watching of engine processes.

Knows `slicer`, `qt` and `vtk`; never imports torch. Everything heavy happens in a process of its own.
"""
