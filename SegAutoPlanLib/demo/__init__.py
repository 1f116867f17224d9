"""The whole method, run once on real images."""

from .demo import DemoOutcome, prepare_data, run_demo

__all__ = ["DemoOutcome", "prepare_data", "run_demo"]
