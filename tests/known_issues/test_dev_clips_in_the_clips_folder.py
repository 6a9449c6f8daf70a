"""Dev and test clips were heard in pretraining when a Common Voice layout's `clips` folder itself was named."""

import pytest
import soundfile

from s3_speechbrain.data.audio_folders import find_audio
from s3_speechbrain.errors import UserError
from s3_speechbrain.pretraining.corpus import load_clips


@pytest.fixture
def layout(tmp_path):
    """Write a layout in which each split has a clip in `clips` and one in a folder below."""
    for folder in ("clips", "clips/more", "clips/dev_only"):
        (tmp_path / "fr" / folder).mkdir(parents=True)
    for number, split in enumerate(("train", "dev", "test")):
        for name in (f"{split}.wav", f"more/{split}.wav"):
            soundfile.write(tmp_path / "fr" / "clips" / name, [0.1 + 0.1 * number] * 16000, 16000)
        rows = ("path\tsentence", f"{split}.wav\thello", f"more/{split}.wav\thello", "")
        (tmp_path / "fr" / f"{split}.tsv").write_text("\n".join(rows))
    soundfile.write(tmp_path / "fr" / "clips" / "dev_only" / "dev.wav", [0.5] * 16000, 16000)
    return tmp_path / "fr"


def test_only_training_clips_are_heard_in_the_clips_folder_and_below(layout):
    clips = layout / "clips"
    assert find_audio(clips) == find_audio(layout) == [clips / "train.wav", clips / "more" / "train.wav"]
    assert find_audio(clips / "more") == [clips / "more" / "train.wav"]
    assert load_clips([str(clips)])[1]["clips"]["found"] == 2


def test_a_relative_path_and_a_link_are_seen_through(layout, monkeypatch):
    link = layout.parent / "my_clips"
    link.symlink_to(layout / "clips")
    assert find_audio(link) == [link / "train.wav", link / "more" / "train.wav"]
    monkeypatch.chdir(layout / "clips" / "more")
    assert [path.as_posix() for path in find_audio(".")] == ["train.wav"]
    assert [path.as_posix() for path in find_audio("../more")] == ["../more/train.wav"]


def test_clips_kept_elsewhere_belong_to_the_layout_that_links_to_them(layout):
    other = layout.parent / "own_split"
    other.mkdir()
    (other / "clips").symlink_to(layout / "clips")
    (other / "train.tsv").write_text("path\tsentence\ndev.wav\thello\n")
    assert find_audio(other / "clips") == [other / "clips" / "dev.wav"]


def test_a_folder_without_training_clips_is_refused(layout):
    with pytest.raises(UserError, match="names no clip in"):
        find_audio(layout / "clips" / "dev_only")
