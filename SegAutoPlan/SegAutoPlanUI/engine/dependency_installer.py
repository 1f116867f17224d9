"""Getting PyTorch into Slicer's Python, after asking."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _

REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"


class InstallError(RuntimeError):
    """PyTorch could not be installed; the message says what to do."""


def missingSentence() -> str:
    """What the panel says where PyTorch is missing."""
    return _('PyTorch is not installed; press "Install PyTorch".')


def torchVersion() -> str:
    """The versions that will do, as in requirements.txt, e.g. ">=2.2"."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return next(line[len("torch") :] for line in lines if line.startswith("torch"))


def installTorch() -> bool:
    """Install PyTorch for this computer's GPU; False if the user declined.

    With the PyTorch extension, which picks the build that fits the GPU; without it the extension is offered, and
    it is the one to be restarted with.

    Raises:
        InstallError: it did not work; the message is for the user.
    """
    try:
        import PyTorchUtils
    except ModuleNotFoundError:
        return _installPyTorchExtension()
    if not slicer.util.confirmOkCancelDisplay(
        _(
            "PyTorch will be downloaded and installed into Slicer's Python. It takes several GB of disk; Slicer does "
            "not answer for some minutes."
        ),
        windowTitle="SegAutoPlan",
    ):
        return False
    return _installTorchWith(PyTorchUtils.PyTorchUtilsLogic())


def _installTorchWith(torchLogic) -> bool:
    try:
        # Keyword names have changed between versions of the extension: as few as possible.
        torch = torchLogic.installTorch(askConfirmation=False, torchVersionRequirement=torchVersion())
    except TypeError as error:
        raise InstallError(
            _("The PyTorch extension does not fit this SegAutoPlan ({error}); update both.").format(error=error)
        ) from error
    if torch is None:
        raise InstallError(_("PyTorch could not be installed; the application log tells why."))
    return True


def _installPyTorchExtension() -> bool:
    question = _(
        'SegAutoPlan gets PyTorch through the extension "PyTorch", which is not installed. Install it now? '
        'Slicer restarts then; press "Install PyTorch" once more afterwards.'
    )
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle="SegAutoPlan"):
        return False
    manager = slicer.app.extensionsManagerModel()
    if not manager.installExtensionFromServer("PyTorch", True):
        raise InstallError(_('The extension "PyTorch" could not be installed; install it in the Extensions Manager.'))
    return True
