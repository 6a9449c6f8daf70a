"""Start an experiment: arguments, YAML files with variants, the output folder, device and threads."""

import difflib
import hashlib
import io
import logging
import re
import shlex
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import ruamel.yaml
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.tag import Tag
from speechbrain.utils.distributed import ddp_init_group, run_on_main
from speechbrain.utils.run_opts import RunOptions

from s3_speechbrain.brains.precision import settle_precision
from s3_speechbrain.brains.usage import help_text
from s3_speechbrain.brains.yaml_files import (
    ADD,
    BASE,
    options_added,
    read_chain,
    read_mapping,
    tag_of,
    yaml_parser,
)
from s3_speechbrain.errors import UserError
from s3_speechbrain.report.provenance import portable_command, portable_path

# Mappings whose keys their receivers check: options of a preparation, settings of a training that is a stage.
FREE = ("prepare", "teacher")
YAML_FILES = "hparams"
HYPERPARAMS = "hyperparams.yaml"
METRICS = "metrics.json"
# what a run and its earlier stages leave: checkpoints, or what says that a stage was complete
STARTED = ("checkpoints/CKPT*", "*/checkpoints/CKPT*", "*/stage.json")

# Where a run happens and how it is shown; two runs that differ only in these are the same experiment.
VOLATILE = frozenset(
    {
        "output_folder",
        "data_folder",
        "manifest_folder",
        "unpack_folder",
        "bank",
        "shard",
        "threads",
        "num_workers",
        "noprogressbar",
        "ckpt_interval_minutes",
        "ckpt_interval_steps",
        "save_model",
    }
)

# Numbers that are null by default; others are told by their defaults.
NUMBERS_OR_NULL = frozenset(
    (
        *("dropout", "head_lr", "limit", "recall", "round_lr", "score_lr", "start_sparsity", "threads"),
        *("total_updates", "train_minutes", "train_rows"),
    )
)


def start(argv: Sequence[str] | None = None) -> tuple[dict, RunOptions]:
    """Turn command-line arguments into hyperparameters and a ready output folder.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name: a YAML file, SpeechBrain's run options and ``--key value``
        overrides.

    Returns
    -------
    hparams : dict
        The loaded YAML, and under ``run`` a dict with ``config_hash``, ``command`` and ``finished``.
    run_opts : RunOptions
        SpeechBrain's run options.

    Raises
    ------
    SystemExit
        If `argv` asks for help, or is empty; the help is printed.
    UserError
        If a file or option is unknown, a required value is missing, the device is absent, or the output
        folder holds a run with other settings.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    stream, resolved, run_opts = _resolve(argv)
    _require_device(run_opts)
    tree = yaml_parser().load(resolved)
    folder = Path(str(tree["output_folder"]))
    fingerprint = config_hash(tree)

    if not torch.distributed.is_initialized():  # a second experiment of one process shares the group
        ddp_init_group(run_opts)
    if tree.get("threads"):
        torch.set_num_threads(int(tree["threads"]))
    if sb.utils.distributed.if_main_process():
        guard_folder(folder, tree)
    hparams = _make_objects(stream, argv)
    if "precision" in hparams:
        hparams["precision"] = settle_precision(hparams["precision"], run_opts.device)
    sb.create_experiment_directory(folder, save_env_desc=False)
    # log.txt would tell of every font that is looked at
    logging.getLogger("matplotlib").setLevel(logging.INFO)
    run_on_main(_keep_settings, args=[folder, resolved])
    hparams["run"] = {
        "config_hash": fingerprint,
        "command": portable_command(shlex.join(["python", Path(sys.argv[0]).name, *argv])),
        "finished": (folder / METRICS).is_file(),
    }
    return hparams, run_opts


def _make_objects(stream: io.StringIO, argv: Sequence[str]) -> dict:
    """Load the settings; a value that the class it is for cannot take is the user's mistake."""
    try:
        return load_hyperpyyaml(stream)
    except TypeError as error:
        reason = ": ".join(map(str, error.args))
        given = ", ".join(word.partition("=")[0] for word in argv if word.startswith("--")) or "the YAML file"
        raise UserError(
            f"a setting has a value of the wrong kind ({reason}): look at {given}; --help shows what each takes"
        ) from error


def read_settings(argv: Sequence[str]) -> CommentedMap:
    """Read what a command would start with, and start nothing.

    Parameters
    ----------
    argv : sequence of str
        As for `start`.

    Returns
    -------
    CommentedMap
        The YAML's options after variants and overrides; objects stay unmade.

    Raises
    ------
    SystemExit
        If `argv` asks for help, or is empty; the help is printed.
    UserError
        If a file or option is unknown or a required value is missing.
    """
    return yaml_parser().load(_resolve(argv)[1])


def _help_if_asked(argv: Sequence[str]) -> None:
    asked = {"-h", "--help"} & set(argv)
    if argv and not asked:
        return
    program, main = Path(sys.argv[0]), sys.modules["__main__"]
    here = Path(YAML_FILES)
    folder = here if here.is_dir() else program.parent / YAML_FILES
    file = next((Path(word) for word in argv if word.endswith((".yaml", ".yml"))), None)
    if file and file.is_relative_to(Path.cwd()):  # a script may have put its own file there
        file = file.relative_to(Path.cwd())
    print(help_text(program.name, main.__doc__ or "", folder, file), file=sys.stdout if asked else sys.stderr)
    sys.exit(0 if asked else 2)


def _resolve(argv: Sequence[str]) -> tuple[io.StringIO, str, RunOptions]:
    _help_if_asked(argv)
    _refuse_signs(argv)
    file, run_opts, overrides = sb.parse_arguments(list(argv))
    # SpeechBrain takes its own options past the YAML file, which lists some of them: it says what they are, too
    own = {name: getattr(run_opts, name) for name in sorted(run_opts.overridden_args)}
    stream = compose(Path(file), overrides, own)
    resolved = resolve_references(stream).getvalue()
    stream.seek(0)
    return stream, resolved, run_opts


def _refuse_signs(argv: Sequence[str]) -> None:
    """Refuse a value with an equals sign, which SpeechBrain's parser turns into a blank, or what YAML cuts off."""
    for word in argv:
        value = word.partition("=")[2] if word.startswith("--") else word
        quoted = value.startswith(('"', "'"))
        sign = "=" if "=" in value else " #" if " #" in value and not quoted else None
        if sign:
            raise UserError(
                f"{word}: a value on the command line may hold no {sign!r}; write it into a YAML file"
            )


def compose(file: Path, command_line: str = "", own: Mapping | None = None) -> io.StringIO:
    """Apply variants and command-line overrides to a full YAML file.

    A variant begins with ``base: other.yaml`` (relative to itself) and is a mapping of overrides to that
    file, which may be a variant again. A mapping overrides key by key, anything else (and a tagged mapping)
    as a whole. New keys stand below ``add:``, so that a misspelt override is still an error; ``add: other.yaml``
    takes them from a file, before the overrides.

    Parameters
    ----------
    file : Path
        A HyperPyYAML file or a variant of one.
    command_line : str
        YAML mapping of overrides, as SpeechBrain's argument parser returns it.
    own : mapping, optional
        Values that win over all, of the keys among them that the file has.

    Returns
    -------
    io.StringIO
        The YAML text; its ``name`` is the full file, so that ``!include:`` finds its neighbours.
    """
    *variants, (file, tree) = read_chain(file)
    numbers = {key for key, value in tree.items() if _is_number(value)} | NUMBERS_OR_NULL
    for place, overrides in reversed(variants):
        tree.update(options_added(place, overrides)[1])
        merge(tree, {key: value for key, value in overrides.items() if key not in (BASE, ADD)}, file)
    merge(tree, _parse_command_line(command_line), file)
    tree.update({key: value for key, value in (own or {}).items() if key in tree})
    _require_values(tree)
    _require_numbers(tree, numbers)
    stream = io.StringIO()
    yaml_parser().dump(tree, stream)
    stream.seek(0)
    stream.name = str(file)
    return stream


def merge(tree: CommentedMap, overrides: Mapping, file: Path, free: bool = False) -> None:
    """Write overrides into a YAML tree in place.

    Parameters
    ----------
    tree : CommentedMap
        Changed in place.
    overrides : mapping
        Keys to set; mappings are merged.
    file : Path
        Named in messages.
    free : bool
        Allow new keys, as below ``!include:`` and `FREE`, whose receivers check them.

    Raises
    ------
    UserError
        For a key that the tree lacks, with the nearest existing names.
    """
    for key, value in overrides.items():
        old = tree.get(key)
        if key not in tree and not free:
            near = difflib.get_close_matches(str(key), [str(known) for known in tree], n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"the options are the keys of {file}"
            raise UserError(f"unknown option {key!r}; {hint}")
        included = "!include" in tag_of(old)
        if included and not isinstance(old, Mapping):  # an include that passes nothing down is no mapping yet
            old = tree[key] = _tagged_mapping(tag_of(old))
        if isinstance(value, Mapping) and isinstance(old, Mapping) and not tag_of(value):
            merge(old, value, file, free=included or key in FREE)
        else:
            tree[key] = value


def config_hash(tree: Mapping) -> str:
    """Return the SHA-256 of resolved settings, leaving out where and how the run is shown."""
    kept = {str(key): _plain(value) for key, value in tree.items() if key not in VOLATILE}
    return hashlib.sha256(repr(sorted(kept.items())).encode()).hexdigest()


def backbone_name(hparams: Mapping) -> str:
    """Name the backbone of a run for the record: its source without this machine's folders."""
    return portable_path(str(hparams["source"])) + ("" if hparams["pretrained"] else "-random")


def guard_folder(folder: Path, tree: Mapping, option: str = "output_folder") -> None:
    """Refuse to mix two experiments in one output folder.

    Parameters
    ----------
    folder : Path
        May hold a run already.
    tree : mapping
        Settings of the run that is to go there, from `read_settings`.
    option : str
        What the user chooses the folder by, for the message.

    Raises
    ------
    UserError
        If the folder holds checkpoints or results made with other settings; the message names the settings.
    """
    stored = folder / HYPERPARAMS
    started = any(any(folder.glob(place)) for place in (METRICS, *STARTED))
    if not stored.is_file() or not started:
        return
    old = read_mapping(stored)
    if config_hash(old) == config_hash(tree):
        return
    keys = sorted({*map(str, old), *map(str, tree)} - VOLATILE)
    changed = [key for key in keys if _plain(old.get(key)) != _plain(tree.get(key))]
    raise UserError(
        f"{folder} holds a run with other settings ({', '.join(changed)}); "
        f"pass another --{option} or delete that folder"
    )


def _parse_command_line(text: str) -> Mapping:
    yaml = yaml_parser()
    yaml.allow_duplicate_keys = True
    options = re.split(r"\n(?=\w+:)", text)
    try:
        # Of equal keys ruamel keeps the first, a command line means the last.
        parsed = yaml.load("\n".join(reversed(options))) if text else {}
    except ruamel.yaml.error.YAMLError:
        parsed = None
    if not isinstance(parsed, Mapping):
        raise UserError(f"cannot read the options '{' '.join(text.split())}'; write --key value")
    return parsed


def _require_values(tree: Mapping) -> None:
    missing = [key for key, value in tree.items() if "!PLACEHOLDER" in tag_of(value)]
    if missing:
        raise UserError(
            "missing " + ", ".join(f"--{key}" for key in missing) + "; add it to the command line"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require_numbers(tree: Mapping, names: Collection[str]) -> None:
    """Refuse a word where a number stands by default; a list or mapping may stand for several."""
    for name in names:
        if isinstance(tree.get(name), str) and not tag_of(tree[name]):
            without = " or null" * (name in NUMBERS_OR_NULL)
            raise UserError(f"{name} is {str(tree[name])!r}: give a number{without}")


def _require_device(run_opts: RunOptions) -> None:
    device = run_opts.device
    if device is None:
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {device!r} cannot be used here; try --device cpu") from error


def _tagged_mapping(tag: str) -> CommentedMap:
    mapping = CommentedMap()
    mapping.yaml_set_ctag(Tag(suffix=tag))
    return mapping


def _plain(node: object) -> object:
    if isinstance(node, Mapping):
        return [tag_of(node), sorted((str(key), _plain(value)) for key, value in node.items())]
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, bool | int | type(None)):
        return node
    return float(node) if isinstance(node, float) else str(getattr(node, "value", node))


def _keep_settings(folder: Path, resolved: str) -> None:
    (folder / HYPERPARAMS).write_text(resolved, encoding="utf-8")
    # SpeechBrain copies the file that called it, which is this one; a reader wants the recipe.
    (folder / Path(__file__).name).unlink(missing_ok=True)
    recipe = getattr(sys.modules["__main__"], "__file__", None)
    if recipe and Path(recipe).name == "train.py":
        shutil.copy(recipe, folder)
