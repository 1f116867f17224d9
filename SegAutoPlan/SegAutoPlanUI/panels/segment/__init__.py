"""The "Segment" section: a model, a volume per channel, and the segmentation that comes of them."""

from .segment_panel import SegmentPanel

__all__ = ["SegmentPanel"]
