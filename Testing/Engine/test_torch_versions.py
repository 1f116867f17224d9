"""Only what starts several processes needs torch 2.3; everything else does without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .balls import NAME, ball_workspace

WITHOUT_AGENT = """
import sys
# None makes importing it fail, as an older torch does.
sys.modules["torch.distributed.elastic.agent.server.local_elastic_agent"] = None
from SegAutoPlanLib.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_an_older_torch_trains_in_one_process_and_says_what_several_need(tmp_path):
    ball_workspace(tmp_path)
    train = ["train", NAME, "3d_fullres", "0", "--recipe", "short", "--epochs", "1", "--iterations", "1"]
    train += ["--device", "cpu", "--workspace", str(tmp_path)]

    def answer(*more: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_AGENT, *train, *more],
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            timeout=120,
        )

    refused = answer("--gpus", "2")
    assert refused.returncode == 2
    assert "several processes need torch 2.3 or newer, and here is " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.pth"))
    assert answer().returncode == 0
    assert [path.name for path in tmp_path.rglob("checkpoint_final.pth")]
