"""The engine from Slicer's side: what it needs, how it is started, watched and waited for. Knows no nodes."""
