"""The verbs: one file per verb, with its options (a frozen record), one public function, and what that returns.

Each function takes the workspace, the options and a reporter. The command line, Slicer's logic and scripts call these::

    from SegAutoPlanLib.pipeline.plan import PlanOptions, plan
    from SegAutoPlanLib.workspace import Workspace

    print(plan(Workspace.at("/data"), PlanOptions("Dataset004_Hippocampus", planner="resenc-m")))

Nothing is imported here: `train` and `predict` bring torch along, the others need none.
"""
