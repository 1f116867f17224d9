"""A headless stand-in for the 3D Slicer application, on the real MRML of slicer-core. See README.md."""

from .application import HostApplication, start_application

__all__ = ["HostApplication", "start_application"]
