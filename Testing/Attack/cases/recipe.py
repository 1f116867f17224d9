"""Recipe files: a user's own, or one that came with a paper."""

from __future__ import annotations

from collections.abc import Iterator

from ..attack import Attack, Expected
from ..special_files import SPECIAL_FILES
from ..spoils import Become, Text

FAMILY = "recipe"
FILE = "{workspace}/mine.toml"
DEEP = 3000

WRONG_LENGTHS = (
    *("0", "-1", "1.5", "1e3", "10_000_000_000", "nan", "inf"),
    *('"7"', "true", "[]", "{}", "2024-01-01", "07:30:00"),
)
TABLES = ("optimizer", "schedule", "loss", "normalization", "augmentation", "mirroring", "oversampling", "benchmark")
WRONG: dict[str, str | bytes] = {
    "no-toml": "epochs: 7",
    "json": '{"epochs": 7}',
    "binary": bytes(range(256)) * 20,
    "nul-bytes": b"\0" * 1000,
    "latin-1": "loss = 'é'".encode("latin-1"),
    "utf-16": 'base = "default"'.encode("utf-16"),
    "cut": 'base = "def',
    "twice": "epochs = 7\nepochs = 8",
    "large": "#" * 100_000,
    "deep-lists": "epochs = " + "[" * DEEP,
    "deep-closed": "epochs = " + "[" * DEEP + "]" * DEEP,
    "deep-tables": "epochs = " + "{a=" * DEEP,
    "deep-key": "a." * DEEP + "b = 1",
    "many-keys": "\n".join(f"a{number} = 1" for number in range(800)),
    "long-key": "a" * 7000 + " = 1",
    "giant-number": "epochs = " + "9" * 7000,
    "giant-hex": "epochs = 0x" + "f" * 7000,
    "escape-in-key": '"\\u001b[31m" = 1',
    "escape-in-value": 'base = "\\u001b[31m"',
    "empty-key": '"" = 1',
    "table": "[default]\nepochs = 7",
    "tables": "[[epochs]]",
    "unknown": "epoch = 7",
    "trainer": 'trainer_name = "../../x"',
    "name": 'name = "../../x"',
    "results": 'results_name = "../../../outside/x"',
    "base-path": 'base = "../mine.toml"',
    "base-itself": 'base = "mine"',
    "base-number": "base = 7",
    **{f"epochs-{value}": f"epochs = {value}" for value in WRONG_LENGTHS},
    **{
        f"{key}-{value}": f"{key} = {value}"
        for key in ("learning_rate", "weight_decay", "momentum", "gradient_clip", "oversample_foreground")
        for value in ("-1", "nan", "inf", "1e999", '"1"', "true", "1e300")
    },
    **{f"{key}-import": f'{key} = "os.system"' for key in TABLES},
    "batch-10^9": "batch_size = 1_000_000_000",
    "warm-up": "epochs = 2\nwarmup_epochs = 2",
    "idle": 'optimizer = "adam"\nmomentum = 0.5',
}  # fmt: skip
NAMES = ("default.toml", "nnUNetTrainer.toml", "a__b.toml", ".toml", "_x.toml", "x" * 240 + ".toml", "con.toml")


def attacks() -> Iterator[Attack]:
    for name, text in WRONG.items():
        for verb in ("recipes", "train"):
            yield _of(verb, name, Text(FILE, text), FILE)
    for name, make in SPECIAL_FILES.items():
        yield _of("recipes", name, Become(FILE, make), FILE)
    for name in NAMES:
        file = f"{{workspace}}/{name}"
        yield _of("recipes", f"named-{name[:20]}", Text(file, "epochs = 7"), file, file[:40], path=file)


def _of(verb: str, name: str, spoil: Text | Become, *named: str, path: str = FILE) -> Attack:
    arguments = (f"--recipe={path}",) if verb == "train" else (path,)
    return Attack(FAMILY, name, verb, (spoil,), Expected.REFUSED, named, arguments)
