"""What `slicer.app` and `slicer.util` offer beyond nodes. Runs on Slicer's own Python files too."""

from __future__ import annotations

import os
import sys

import pytest


def test_starting_twice_gives_the_same_application(host):
    from Testing.Host import start_application

    assert start_application() is host
    assert host.slicer.app.mrmlScene() is host.slicer.mrmlScene


def test_the_logics_of_slicer_modules_work_on_the_scene(host):
    import slicer

    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    for name in ("segmentations", "volumes", "tables", "plots", "models"):
        assert getattr(slicer.modules, name).logic().GetMRMLScene() is slicer.mrmlScene
    assert slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, volume, "Copy").GetName() == "Copy"


def test_settings_are_the_hosts_own(host, monkeypatch):
    import qt
    import slicer

    qt.QSettings().setValue("SegAutoPlan/flag", True)
    assert slicer.util.settingsValue("SegAutoPlan/flag", False, converter=slicer.util.toBool) is True
    assert qt.QSettings().fileName().startswith(slicer.app.temporaryPath)
    qt.QSettings().remove("SegAutoPlan/flag")


def test_a_temporary_folder_is_made(host):
    import slicer

    folder = slicer.util.tempDirectory()
    assert os.path.isdir(folder)
    assert folder.startswith(slicer.app.temporaryPath)


def test_a_status_message_is_shown(host):
    import slicer

    host.main_window.show()
    assert slicer.util.showStatusMessage("Segmenting…")
    assert slicer.util.mainWindow().statusBar().currentMessage() == "Segmenting…"


def test_message_boxes_are_answered_and_do_not_block(host):
    import slicer

    # Slicer's documentation says True here; its code compares True with the button's number.
    assert slicer.util.confirmOkCancelDisplay("Install?") is False
    slicer.util.errorDisplay("wrong")
    with pytest.raises(RuntimeError), slicer.util.tryWithErrorDisplay("failed"):  # --testing lets it through
        raise RuntimeError


def test_the_background_of_the_slice_views_is_in_the_scene(host):
    import slicer

    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer.util.setSliceViewerLayers(background=volume)
    views = slicer.app.layoutManager()
    for name, orientation in (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal")):
        widget = views.sliceWidget(name)
        assert widget.mrmlSliceCompositeNode().GetBackgroundVolumeID() == volume.GetID()
        assert widget.mrmlSliceNode().GetOrientation() == orientation
    host.close_scene()
    assert views.sliceWidget("Red").mrmlSliceNode().GetOrientation() == "Axial"


def test_waiting_lets_timers_run_and_ends_in_time(host):
    import qt

    seen = []
    qt.QTimer.singleShot(20, lambda: seen.append(1))
    host.process_events(until=lambda: seen, timeout_s=5)
    with pytest.raises(TimeoutError, match=r"0\.05 s"):
        host.process_events(until=lambda: False, timeout_s=0.05)


def test_a_process_streams_its_output(host):
    import qt

    process = qt.QProcess()
    process.setProcessChannelMode(qt.QProcess.MergedChannels)
    finished = []

    def done(code, status):
        finished.append(code)

    process.connect("finished(int,QProcess::ExitStatus)", done)
    process.start(sys.executable, ["-c", "print('epoch 1')"])
    host.process_events(until=lambda: finished)
    assert finished == [0]
    assert b"epoch 1" in process.readAllStandardOutput().data()


def test_what_is_to_be_deleted_later_is_gone_when_events_were_processed(host):
    import qt

    parent = qt.QWidget()
    gone = []
    child = qt.QLabel("old", parent)
    child.destroyed.connect(lambda *_: gone.append(True))
    child.deleteLater()
    assert not gone
    host.process_events()
    assert gone
    assert list(parent.children()) == []


def test_an_unknown_module_cannot_be_selected(host):
    import slicer

    with pytest.raises(ValueError, match="Nothing"):
        slicer.util.selectModule("Nothing")
    with pytest.raises(RuntimeError, match="Nothing"):
        slicer.util.getModule("Nothing")


def test_a_screenshot_is_written(host, tmp_path):
    import qt

    label = qt.QLabel("hello")
    path = host.screenshot(label, tmp_path / "label.png")
    assert not qt.QImage(str(path)).isNull()
    with pytest.raises(OSError, match="no such folder"):
        host.screenshot(label, tmp_path / "no such folder" / "label.png")


def test_observers_of_a_mixin_are_called_and_removed(host):
    import slicer
    from slicer.util import VTKObservationMixin

    seen = []
    mixin = VTKObservationMixin()
    mixin.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, lambda caller, event: seen.append(event))
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    mixin.removeObservers()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    assert len(seen) == 1


def test_an_exception_in_an_observer_is_noted(host):
    import slicer

    def fail(caller, event):
        raise RuntimeError("from the observer")

    tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, fail)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    slicer.mrmlScene.RemoveObserver(tag)
    assert "from the observer" in host.errors.pop()


def test_installed_packages_are_recognised(host, tmp_path):
    import slicer.packaging as packaging
    from packaging.requirements import Requirement

    assert packaging.pip_check(Requirement("numpy>=1.0"))
    assert not packaging.pip_check(Requirement("numpy>=1000"))
    assert not packaging.pip_check(Requirement("a-package-that-nobody-wrote"))
    (tmp_path / "requirements.txt").write_text("# why\nnumpy>=1.0\n\nbatchgenerators>=0.25\n")
    names = [requirement.name for requirement in packaging.load_requirements(tmp_path / "requirements.txt")]
    assert names == ["numpy", "batchgenerators"]


def test_declining_an_installation_is_an_error(host, monkeypatch):
    import slicer.packaging as packaging
    from packaging.requirements import Requirement

    questions = []

    def decline(text, *_, **__):
        questions.append(text)
        return False

    monkeypatch.setattr(host.slicer.app, "testingEnabled", lambda: False)
    monkeypatch.setattr(host.slicer.util, "confirmOkCancelDisplay", decline)
    with pytest.raises(RuntimeError):
        packaging.pip_ensure([Requirement("a-package-that-nobody-wrote")], requester="SegAutoPlan")
    assert len(questions) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: the package list is for Linux")
def test_a_missing_system_library_names_its_package(tmp_path):
    from Testing.Host.system_libraries import missing_packages

    listing = tmp_path / "packages.txt"
    listing.write_text("# comment\nlibc6 libc.so.6\nliboddity9 liboddity.so.9\nfonts-odd /no/such/folder\n")
    assert missing_packages(listing) == ["liboddity9", "fonts-odd"]
