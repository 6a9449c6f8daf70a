"""``s3sb publish``: a finished run as a folder that others can load, and on the hub if asked."""

import argparse

HELP = "make a folder of a finished run that anyone can load, try it, and send it to the hub if asked"
EPILOG = """\
examples:
  s3sb publish results/demo/fr published/fr
  s3sb publish results/demo/bank published/demo --with_backbone
  s3sb publish results/demo/bank published/fr --language fr            one language, baked into an ordinary model
  s3sb publish results/demo/fr published/fr --hub owner/name             what would be sent
  s3sb publish results/demo/fr published/fr --hub owner/name --send      sends it

The folder is loaded in a new process without a network and transcribes test clips, and the texts are compared with
the run's own; if they differ, nothing is published. --hub alone is a dry run. The token comes from HF_TOKEN or
hf auth login.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    add = parser.add_argument
    add("run", help="a finished run, a model folder or a mask bank")
    add("destination", help="the new folder; one that was published before is replaced")
    add("--name", help="how the card calls it (default: the hub name, else the folder's)")
    add(
        "--licence",
        help="of the weights, as the hub writes it: apache-2.0, cc-by-nc-4.0 (built-in backbone: known)",
    )
    add("--language", metavar="CODE", help="banks: bake this language into an ordinary model")
    add("--source", help="banks: where the backbone is on this machine, if it moved")
    add("--backbone", metavar="NAME", help="banks: name of the backbone on the hub")
    add("--revision", metavar="REV", help="banks: revision of the backbone on the hub")
    add("--with_backbone", action="store_true", help="banks: carry the backbone along")
    add("--dtype", choices=("float32", "float16"), default="float32", help="of a model's weights (float32)")
    add(
        "--clips",
        type=int,
        default=10,
        metavar="N",
        help="test clips to try it on, per language (10); 0: no test",
    )
    add("--no_examples", action="store_true", help="add no test clips, even where their licence allows it")
    add("--hub", metavar="OWNER/NAME", help="the repository; says what would be sent")
    add("--send", action="store_true", help="with --hub: send it")
    add("--private", action="store_true", help="with --hub: a new repository is private")
    add("--tag", help="with --hub: a name for the new revision, such as v1.0")
    add("--message", help="with --hub: of the commit")


def run(given: argparse.Namespace) -> int:
    """Publish, and print what was made and tried."""
    from s3_speechbrain.errors import UserError
    from s3_speechbrain.publish import publish, upload
    from s3_speechbrain.report.tables import size

    if given.hub is None and (given.send or given.private or given.tag or given.message):
        raise UserError("--send, --private, --tag and --message are about the hub: give --hub owner/name too")
    made = publish(
        given.run,
        given.destination,
        name=given.name,
        hub=given.hub,
        licence=given.licence,
        language=given.language,
        source=given.source,
        backbone=given.backbone,
        revision=given.revision,
        with_backbone=given.with_backbone,
        dtype=given.dtype,
        clips=given.clips,
        examples=not given.no_examples,
    )
    total = size(sum(count for _, count in made.files))
    print(f"{made.folder}: a {made.kind} in {', '.join(made.languages)}, {len(made.files)} files, {total}")
    for check in made.checks:
        print(f"  {check.way}, {check.language}: {check.equal} of {check.clips} texts equal to the run's")
    if given.hub:
        sent = upload(
            made.folder,
            given.hub,
            private=given.private,
            tag=given.tag,
            message=given.message,
            dry_run=not given.send,
        )
        print(sent)
    return 0
