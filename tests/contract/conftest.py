from speechbrain.utils.importutils import LazyModule

# hypothesis asks every loaded module for its file; SpeechBrain's lazy modules answer by importing optional
# packages and fail if one is not installed. A class attribute answers first.
LazyModule.__file__ = None
