"""SegAutoPlan's engine: labelled images in, a trained network and segmentations out.

Read the stages in the order in which data passes through them:
dataset → fingerprint → planning → preprocessing → networks, losses, training → inference → evaluation.
"""

__version__ = "0.1.0"
