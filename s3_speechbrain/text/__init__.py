"""Labelled text and a classifier on a Hugging Face text encoder: pruning is not about speech alone.

`reviews` makes the built-in data set, `tasks` opens data sets (folders, GLUE), `model` is the encoder with its
head, `batches` pads.
"""

from s3_speechbrain.text.batches import TextBatch, Texts
from s3_speechbrain.text.model import TextClassifier, load_text_encoder, text_source
from s3_speechbrain.text.tasks import Task, load_task

__all__ = ["Task", "TextBatch", "TextClassifier", "Texts", "load_task", "load_text_encoder", "text_source"]
