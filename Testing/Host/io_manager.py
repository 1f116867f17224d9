"""``slicer.app.coreIOManager()``: files in and out of the scene through the real MRML storage nodes and logics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import slicer
import vtk

from .node_copies import copy_into
from .scene_files import load_scene, save_scene

_BY_SUFFIX = (
    (".seg.nrrd", "SegmentationFile"),
    (".seg.nhdr", "SegmentationFile"),
    (".seg.vtm", "SegmentationFile"),
    (".nii.gz", "VolumeFile"),
    (".nii", "VolumeFile"),
    (".nrrd", "VolumeFile"),
    (".nhdr", "VolumeFile"),
    (".mha", "VolumeFile"),
    (".mhd", "VolumeFile"),
    (".gipl", "VolumeFile"),
    (".mrml", "SceneFile"),
    (".mrb", "SceneFile"),
    (".ctbl", "ColorTableFile"),
    (".vtk", "ModelFile"),
    (".vtp", "ModelFile"),
    (".stl", "ModelFile"),
    (".ply", "ModelFile"),
    (".h5", "TransformFile"),
    (".tfm", "TransformFile"),
    (".tsv", "TableFile"),
    (".csv", "TableFile"),
)


class IOManager:
    """The methods that ``slicer.util.load…``, ``saveNode``, ``saveScene`` and ``exportNode`` call."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene

    def fileType(self, filename: str) -> str:
        lower = str(filename).lower()
        return next((kind for suffix, kind in _BY_SUFFIX if lower.endswith(suffix)), "NoFile")

    def loadNodes(
        self,
        file_type: str,
        properties: dict,
        loaded: vtk.vtkCollection | None = None,
        messages: slicer.vtkMRMLMessageCollection | None = None,
    ) -> bool:
        """Read ``properties["fileName"]``; the new node joins ``loaded``. A failure joins ``messages``."""
        path = Path(properties["fileName"])
        if not path.is_file():
            _tell(messages, f"the file {path} does not exist")
            return False
        if file_type == "SceneFile":
            return load_scene(self._scene, path, clear=properties.get("clear", False))
        if file_type not in _READERS:
            _tell(messages, f"the test host does not read {file_type} ({path}); see Testing/Host/io_manager.py")
            return False
        node = _READERS[file_type](path, properties)
        if node is None:
            _tell(messages, f"{path} could not be read as {file_type}")
            return False
        if loaded is not None:
            loaded.AddItem(node)
        return True

    def fileWriterFileType(self, node: slicer.vtkMRMLNode) -> str:
        return node.GetClassName().removeprefix("vtkMRML").removesuffix("Node") + "File"

    def saveNodes(
        self, file_type: str, properties: dict, messages: slicer.vtkMRMLMessageCollection | None = None
    ) -> bool:
        """Write the scene, or the node ``properties["nodeID"]`` through its own storage node."""
        path = Path(properties["fileName"])
        if file_type == "SceneFile" and path.suffix == ".mrml":
            return bool(self._scene.Commit(str(path)))
        if file_type == "SceneFile":
            save_scene(path, self._scene)
            return True
        node = self._scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        return self._write(node, node.GetStorageNode(), path, properties, messages)

    def exportNodes(
        self,
        node_ids: list[str],
        filenames: list[str],
        properties: dict,
        harden: bool,
        messages: slicer.vtkMRMLMessageCollection | None = None,
    ) -> bool:
        """Write copies: neither the nodes nor their storage nodes change."""
        results = []
        for node_id, filename in zip(node_ids, filenames, strict=True):
            original = self._scene.GetNodeByID(node_id)
            aside = slicer.vtkMRMLScene()
            copy = copy_into(aside, original)
            if harden and original.IsA("vtkMRMLTransformableNode"):
                copy.HardenTransform()
            storage = aside.AddNode(_default_storage(original))
            results.append(self._write(copy, storage, Path(filename), properties, messages))
        return all(results)

    def _write(
        self,
        node: slicer.vtkMRMLStorableNode,
        storage: slicer.vtkMRMLStorageNode,
        path: Path,
        properties: dict,
        messages: slicer.vtkMRMLMessageCollection | None,
    ) -> bool:
        storage.SetFileName(str(path))
        storage.SetUseCompression(properties.get("useCompression", True))
        written = bool(storage.WriteData(node))
        if not written:
            _tell(messages, f"{path} could not be written")
        return written

    def extractKnownExtension(self, filename: str, node: slicer.vtkMRMLNode) -> str:
        """The longest extension of the name that the node can be written as; else what follows the last dot."""
        known = [one.rpartition("(")[2].rstrip(")") for one in self.fileWriterExtensions(node)]
        fitting = [extension for extension in known if str(filename).lower().endswith(extension)]
        return max(fitting, key=len, default=Path(filename).suffix)

    def fileWriterExtensions(self, node: slicer.vtkMRMLNode) -> list[str]:
        """What the node can be written as, each as "Name (.extension)"."""
        if node.IsA("vtkMRMLVolumeNode"):  # ITK writes these; MRML has no list of them
            return [f"Volume ({suffix})" for suffix, kind in _BY_SUFFIX if kind == "VolumeFile"]
        types = _default_storage(node).GetSupportedWriteFileTypes()
        return [types.GetValue(index) for index in range(types.GetNumberOfValues())]

    def addDefaultStorageNodes(self) -> None:
        storable = slicer.util.getNodesByClass("vtkMRMLStorableNode")
        for node in storable:
            if node.GetStorageNode() is None and node.GetSaveWithScene():
                node.AddDefaultStorageNode()


def _default_storage(node: slicer.vtkMRMLStorableNode) -> slicer.vtkMRMLStorageNode:
    storage = node.CreateDefaultStorageNode()
    storage.UnRegister(None)  # C++ hands it over with a reference of its own
    return storage


def _tell(messages: slicer.vtkMRMLMessageCollection | None, sentence: str) -> None:
    if messages is not None:
        messages.AddMessage(vtk.vtkCommand.ErrorEvent, sentence)


def _node_name(path: Path, properties: dict) -> str:
    suffix = next((suffix for suffix, _ in _BY_SUFFIX if path.name.lower().endswith(suffix)), path.suffix)
    return properties.get("name") or path.name[: len(path.name) - len(suffix)]


def _read_volume(path: Path, properties: dict) -> slicer.vtkMRMLVolumeNode | None:
    flags = {"labelmap": 1, "center": 2, "singleFile": 4, "autoWindowLevel": 8, "discardOrientation": 16}
    chosen = {"autoWindowLevel": True, **properties}
    options = sum(value for key, value in flags.items() if chosen.get(key, False))
    return slicer.modules.volumes.logic().AddArchetypeVolume(str(path), _node_name(path, properties), options)


def _read_segmentation(path: Path, properties: dict) -> slicer.vtkMRMLSegmentationNode | None:
    return slicer.modules.segmentations.logic().LoadSegmentationFromFile(
        str(path), properties.get("autoOpacities", True), _node_name(path, properties)
    )


def _with_storage(node_class: str, storage_class: str) -> Callable[[Path, dict], slicer.vtkMRMLNode | None]:
    def read(path: Path, properties: dict) -> slicer.vtkMRMLNode | None:
        scene = slicer.mrmlScene
        node = scene.AddNewNodeByClass(node_class, _node_name(path, properties))
        storage = scene.AddNewNodeByClass(storage_class)
        storage.SetFileName(str(path))
        if not storage.ReadData(node):
            scene.RemoveNode(storage)
            scene.RemoveNode(node)
            return None
        node.SetAndObserveStorageNodeID(storage.GetID())
        node.CreateDefaultDisplayNodes()
        return node

    return read


_READERS: dict[str, Callable[[Path, dict], slicer.vtkMRMLNode | None]] = {
    "VolumeFile": _read_volume,
    "SegmentationFile": _read_segmentation,
    "ModelFile": _with_storage("vtkMRMLModelNode", "vtkMRMLModelStorageNode"),
    "TransformFile": _with_storage("vtkMRMLTransformNode", "vtkMRMLTransformStorageNode"),
    "TableFile": _with_storage("vtkMRMLTableNode", "vtkMRMLTableStorageNode"),
    "ColorTableFile": _with_storage("vtkMRMLColorTableNode", "vtkMRMLColorTableStorageNode"),
}
