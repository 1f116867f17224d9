"""A headless stand-in for the 3D Slicer application, on the real MRML of slicer-core. See README.md."""

from .application import HostApplication, start_application

__all__ = ["HostApplication", "render_segmentation", "save_scene", "start_application"]


def __getattr__(name: str) -> object:
    """These two need ``slicer``, which must not be imported before `start_application` has prepared it."""
    if name == "render_segmentation":
        from .rendering import render_segmentation

        return render_segmentation
    if name == "save_scene":
        from .scene_files import save_scene

        return save_scene
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
