"""Planning: fingerprint in, plan out; pure arithmetic that equals nnU-Net's."""

from .experiments import plan_experiments
from .machine import Machine
from .plan import Architecture, Configuration, Plan
from .plan_json import plan_from_json, plan_path, plan_to_json, read_plan, write_plan
from .presets import PLANNERS, planner_named

__all__ = [
    "PLANNERS",
    "Architecture",
    "Configuration",
    "Machine",
    "Plan",
    "plan_experiments",
    "plan_from_json",
    "plan_path",
    "plan_to_json",
    "planner_named",
    "read_plan",
    "write_plan",
]
