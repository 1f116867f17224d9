"""What holds for the whole process is set by the command line's process, for the verbs that need it."""

from __future__ import annotations

import pytest

from SegAutoPlanLib import __main__ as process


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["predict", "--model", "nowhere", "--input", "nowhere", "--output", "out"], True),
        (["train", "Dataset009_Nowhere", "3d_fullres", "0"], True),
        (["check", "Dataset009_Nowhere"], False),
        (["plan", "Dataset009_Nowhere"], False),
        (["runs", "list"], False),
    ],
)
def test_only_a_process_that_runs_networks_keeps_freed_memory(monkeypatch, tmp_path, capsys, arguments, kept):
    asked = []
    monkeypatch.setattr(process, "keep_freed_memory", lambda: asked.append(True))
    monkeypatch.chdir(tmp_path)
    process.main([*arguments, "--workspace", str(tmp_path)])
    capsys.readouterr()
    assert bool(asked) is kept
