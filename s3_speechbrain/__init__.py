"""Adapt, share and shrink self-supervised speech models with SpeechBrain."""

__version__ = "0.1.0"
