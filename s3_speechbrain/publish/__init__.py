"""From a finished run to a model that anyone can load: model folder or mask bank, card, self-test, hub."""

from s3_speechbrain.publish.api import Published, bake, publish
from s3_speechbrain.publish.hub import Upload, upload
from s3_speechbrain.publish.selftest import Check, check
from s3_speechbrain.publish.source import Source, find_source

__all__ = ["Check", "Published", "Source", "Upload", "bake", "check", "find_source", "publish", "upload"]
