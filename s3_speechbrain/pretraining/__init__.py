"""Pretrain a small wav2vec2-shaped encoder on folders of audio."""
