"""One self-contained HTML page about finished runs: tables, curves, sparsity, overlap, audio, how to load."""

from s3_speechbrain.webpage.page import make_page, write_page

__all__ = ["make_page", "write_page"]
