"""Values of arguments that no verb can work with."""

from __future__ import annotations

from collections.abc import Iterator

from ..attack import Attack, Expected
from ..verbs import VERBS

FAMILY = "option"
NUMBERS = ("0", "-1", "1.5", "x", "", "nan", "1e3", str(2**70), "1" * 5000, "--", "0x10")
REALS = ("0", "-1", "x", "", "nan", "inf", "-inf", "1e999", "1e308", "1e-9", "1,5")
NAMES = (
    "../x",
    "../../../../outside/x",
    "{outside}/x",
    "a/b",
    "..",
    ".",
    "",
    "x" * 300,
    "a\\b",
    "con",
    "a\nb",
    "\x1b[31mx",
)

TABLE: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    # verb, option, values that are refused, values that are refused or make no difference
    ("train", "--seed", ("-1", "x", "", "1.5", "nan", str(2**70)), ()),
    ("train", "--epochs", NUMBERS, ()),
    ("train", "--iterations", NUMBERS, ()),
    ("train", "--minutes", ("0", "-1", "x", "", "nan", "inf", "1e-9", "1e30", str(2**70)), ()),
    ("train", "--recipe", (*NAMES, "os.system"), ()),
    ("train", "--loss", (*NAMES, "os.system", "DICE", "dice_bce", "bce", "dice+ce", "dice_ce "), ()),
    ("train", "--plans", (*NAMES, "dataset", "dataset_fingerprint", "splits_final", "os.system"), ()),
    ("train", "--gpus", ("0", "-1", "x", "", str(2**70), "1000000"), ()),
    ("train", "--nodes", ("0", "-1", "x", "", "2", str(2**70), "1000000"), ()),
    ("train", "--rendezvous", ("x", "", "localhost:29400", "localhost:0", "{outside}", "x" * 5000, "a\nb"), ()),
    ("train", "--device", ("x", "", "cuda:99", "os.system"), ()),
    ("train", "--pretrained", ("nowhere.pth", "", "/dev/zero", "/etc/passwd", "{outside}", "x" * 5000, "a\nb"), ()),
    ("train", "--precision", (*NAMES, "half", "float16", "FULL"), ()),
    ("train", "--freeze", (*NAMES, "encoder", "all_but_heads", "os.system"), ()),  # without weights to keep
    ("train", "--validate-only", ("x", "../x"), ()),
    ("predict", "--step-size", (*REALS, "2", "1.01"), ()),
    ("predict", "--folds", ("x", "../x", "-1", "99", str(10**30), "{outside}", "", "all", "0/../0"),
     ("٠", "0.0", "+0", "00", " 0", "0_0")),
    ("predict", "--checkpoint", ("x", "../x", "", "final.pth"), ()),
    ("predict", "--part", ("0/1", "2/1", "-1/1", "1/0", "x", "1", "1/", "/", "1/1/1", "1.5/2", "nan/1", "²/³"), ()),
    ("predict", "--part", (), ("1/" + "1" * 30, "01/01", "1/" + "9" * 5000)),
    ("predict", "--device", ("x", "", "cuda:99"), ()),
    ("predict", "--model", ("nowhere", "", "/dev/zero", "/etc/passwd", "{outside}", "x" * 5000, "a\nb"), ()),
    ("predict", "--input", ("nowhere", "/dev/zero", "/etc/passwd", "{outside}", "x" * 5000, "a\nb", "{model}"), ()),
    ("predict", "--scheduler", ("x", "", "a b", "{outside}", "a\nb"), ()),
    ("predict", "--previous-model", ("nowhere", "", "/dev/zero", "{outside}", "x" * 5000, "{model}"), ()),
    ("predict", "--previous-stage", ("", "nowhere", "/dev/zero", "{outside}", "x" * 5000, "a\nb"), ()),
    ("ensemble", "--workers", ("0", "-1", "x", "", "1.5", "nan"), (str(10**9),)),
    ("ensemble", "--scheduler", ("x", "", "a b"), ()),
    ("plan", "--gpu-memory-gb", (*REALS,), ()),
    ("plan", "--spacing", (), ()),
    ("plan", "--from-model", ("nowhere", "", "/dev/zero", "/etc/passwd", "{outside}", "x" * 5000, "a\nb"), ()),
    ("plan", "--planner", (*NAMES, "os.system"), ()),
    ("plan", "--plans", (*NAMES, "dataset", "dataset_fingerprint", "splits_final"), ()),
    ("preprocess", "--plans", (*NAMES, "dataset", "dataset_fingerprint", "splits_final"), ()),
    ("preprocess", "--configurations", (*NAMES, "4d_fullres"), ()),
    ("preprocess", "--workers", ("0", "-1", "x", "", "1.5", "nan"), ()),
    ("preprocess", "--workers", (), (str(10**9), str(2**70))),
    ("evaluate", "--dataset-json", ("nowhere", "", "/dev/zero", "/etc/passwd", "{outside}", "x" * 5000), ()),
    ("import decathlon", "--id", ("-1", "0", "1000", "x", "", "1.5", str(2**70), "nan"), ()),
    ("import pairs", "--id", ("-1", "0", "1000", "x", "", "1.5", str(2**70), "nan"), ()),
    ("import pairs", "--name", tuple(name for name in NAMES if name != "con"), ()),  # Dataset007_con is none
    ("import pairs", "--segments", ("nowhere", "", "../x"), ()),
    ("import pairs", "--channels", (), ("", "../x", "\x1b[31m")),
)  # fmt: skip

SPACINGS = (("0", "1", "1"), ("-1", "1", "1"), ("nan", "1", "1"), ("inf", "1", "1"), ("x", "1", "1"), ("1e-9",) * 3,
            ("1e9",) * 3, ("1e308",) * 3, ("1", "1"), ("1", "1", "1", "1"), ("1e999", "1", "1"))  # fmt: skip
DATASETS = ("../../x", "nowhere", "99", "", ".", "..", "/", "{outside}", "Dataset001_Balls/../../../x", "Dataset/../x",
            str(10**30), "-1", "²", "x" * 300, "/dev/zero", "{outside}/x/../Dataset001_Balls",
            "Dataset001_../../x", "Dataset002_a\nb")  # fmt: skip
FOLDS = ("-1", "x", "", "1.5", str(10**30), "../x", "²", "all/../x", "ALL", "1e3", "٠" * 400, "9" * 5000)


def attacks() -> Iterator[Attack]:
    for verb, option, refused, odd in TABLE:
        for values, expected in ((refused, Expected.REFUSED), (odd, Expected.REFUSED_OR_EQUAL)):
            for value in values:
                # With an equals sign: a value that begins with a dash stays one.
                yield _of(
                    verb,
                    f"{option} {_in_short(value)}",
                    (f"{option}={value}",),
                    expected,
                    (option, option.strip("-"), value),
                )
    for spacing in SPACINGS:
        named = ("--spacing", "arguments: 1")
        yield _of("plan", f"--spacing {' '.join(spacing)}", ("--spacing", *spacing), Expected.REFUSED, named)
    yield from _positions()


def _positions() -> Iterator[Attack]:
    for verb in ("check", "losses", "plan", "preprocess", "train"):
        for value in DATASETS:
            yield _replaced(verb, 1, value)
    for value in FOLDS:
        yield _replaced("train", 3, value)
    for value in (*NAMES, "4d_fullres", "2d_no"):
        yield _replaced("train", 2, value)
    for value in ("nowhere", "/dev/zero", "", "{outside}", "x" * 5000):
        if value != "{outside}":  # which may be a folder of references as well as any
            yield _replaced("evaluate", 1, value)
            yield _replaced("evaluate", 2, value)
        yield _replaced("import decathlon", 2, value)
        yield _replaced("import nnunet-v1", 2, value)
        yield _replaced("import pairs", 2, value)
    for value in ("", "x" * 5000):
        yield _of(
            "predict", f"--output {_in_short(value)}", (f"--output={value}",), Expected.ANSWERED, ("--output", value)
        )
    for value in ("", "/dev/null", "{outside}", "x" * 5000, "{raw}/dataset.json", "a\nb", "/proc/1"):
        for verb in ("check", "plan", "train"):
            yield _replaced(verb, len(VERBS[verb].arguments) - 1, value)
    for variable, value in (("OMP_NUM_THREADS", "x"), ("SEGAUTOPLAN_WORKSPACE", "/dev/null"), ("RANK", "x"),
                            ("WORLD_SIZE", "-1"), ("LOCAL_RANK", "99"), ("RANK", "99")):  # fmt: skip
        yield Attack(FAMILY, f"{variable}={value}", "predict", (), Expected.ANSWERED, environment=((variable, value),),
                     hostile=False)  # fmt: skip


def _replaced(verb: str, position: int, value: str) -> Attack:
    """One of the verb's own arguments is another."""
    return Attack(
        FAMILY,
        f"argument-{position} {_in_short(value)}",
        verb,
        expected=Expected.REFUSED,
        named=_shown(value),
        instead=((position, value),),
        hostile=False,
    )


def _of(verb: str, name: str, arguments: tuple[str, ...], expected: Expected, named: tuple[str, ...]) -> Attack:
    shown = tuple(form for text in named for form in _shown(text))
    return Attack(FAMILY, name, verb, (), expected, shown, arguments, hostile=False)


def _shown(value: str) -> tuple[str, ...]:
    """How a value may stand in a sentence: as it is, its beginning, with escapes for what cannot be printed."""
    return (value[:25], value[:25].encode("unicode_escape").decode()) if value else (".", "argument ")


def _in_short(value: str) -> str:
    text = value.replace("/", "|") if value else "(empty)"
    return ascii(text)[1:-1] if len(text) < 40 else f"{ascii(text[:20])[1:-1]}…({len(value)})"
