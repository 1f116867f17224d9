"""What the engine does for the scene: nodes to its files, its run, the result back into nodes. No widgets."""
