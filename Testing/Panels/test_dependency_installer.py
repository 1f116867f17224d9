"""PyTorch comes through the PyTorch extension, after asking, and every way it can go wrong is a sentence."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture
def installer(module):
    return importlib.import_module("SegAutoPlanUI.engine.dependency_installer")


@pytest.fixture
def answer(host, monkeypatch):
    """`answer(False)` declines whatever is asked; the questions are kept."""

    def give(yes: bool) -> list[str]:
        questions: list[str] = []

        def ask(text, **_):
            questions.append(text)
            return yes

        monkeypatch.setattr(host.slicer.util, "confirmOkCancelDisplay", ask)
        return questions

    return give


@pytest.fixture
def torch_extension(monkeypatch):
    """The PyTorch extension, with an `installTorch` of the test's."""

    def provide(install) -> None:
        extension = ModuleType("PyTorchUtils")
        extension.PyTorchUtilsLogic = lambda: SimpleNamespace(installTorch=install)
        monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)

    return provide


@pytest.fixture
def extensions_manager(host, monkeypatch):
    installed: list[str] = []

    def provide(works: bool) -> list[str]:
        def install(name, restart):
            installed.append(name)
            return works

        manager = SimpleNamespace(installExtensionFromServer=install)
        monkeypatch.setattr(type(host.slicer.app), "extensionsManagerModel", lambda _app: manager, raising=False)
        return installed

    return provide


def test_torch_is_installed_by_the_pytorch_extension_in_a_version_that_will_do(installer, answer, torch_extension):
    asked = {}
    torch_extension(lambda **options: asked.update(options) or object())
    questions = answer(True)
    assert installer.installTorch()
    assert asked["torchVersionRequirement"] == ">=2.2"
    assert "several GB" in questions[0]


def test_nothing_is_installed_when_the_user_declines(installer, answer, torch_extension):
    torch_extension(lambda **_: pytest.fail("installed without consent"))
    answer(False)
    assert not installer.installTorch()


def test_a_failed_installation_is_a_sentence(installer, answer, torch_extension):
    torch_extension(lambda **_: None)
    answer(True)
    with pytest.raises(installer.InstallError, match="PyTorch could not be installed; the application log tells why"):
        installer.installTorch()


def test_an_extension_with_other_keywords_is_a_sentence(installer, answer, torch_extension):
    torch_extension(lambda forceCuda=None: None)
    answer(True)
    with pytest.raises(installer.InstallError, match="does not fit this SegAutoPlan"):
        installer.installTorch()


def test_without_the_pytorch_extension_it_is_offered(installer, answer, extensions_manager):
    assert "PyTorchUtils" not in sys.modules
    installed = extensions_manager(works=True)
    questions = answer(True)
    assert installer.installTorch()
    assert installed == ["PyTorch"]
    assert "Slicer restarts" in questions[0]


def test_the_extension_is_not_installed_when_the_user_declines(installer, answer, extensions_manager):
    installed = extensions_manager(works=True)
    answer(False)
    assert not installer.installTorch()
    assert installed == []


def test_an_extension_that_cannot_be_installed_is_a_sentence_in_the_panel(panel, answer, extensions_manager):
    extensions_manager(works=False)
    answer(True)
    panel.ui.installButton.click()
    expected = 'The extension "PyTorch" could not be installed; install it in the Extensions Manager.'
    assert panel.ui.statusLabel.text == expected
