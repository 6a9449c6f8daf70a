import pytest
import soundfile

from s3_speechbrain.data.audio_folders import find_audio
from s3_speechbrain.errors import UserError


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, [0.1] * 1600, 16000)


@pytest.fixture
def layout(tmp_path):
    """Write a Common Voice layout, one clip per split and one in none, two of them in a subfolder."""
    for name in ("train", "dev", "test", "unlisted", "more/train", "more/dev"):
        write(tmp_path / "cv" / "clips" / f"{name}.wav")
    for split in ("train", "dev", "test"):
        rows = [f"{split}.wav\thello", f"more/{split}.wav\thello"][: 1 + (split != "test")]
        (tmp_path / "cv" / f"{split}.tsv").write_text("\n".join(["path\tsentence", *rows, ""]))
    return tmp_path / "cv"


def test_dev_and_test_clips_of_a_common_voice_layout_stay_unheard(layout):
    write(layout.parent / "loose" / "a.flac")
    clips = layout / "clips"
    assert find_audio(layout.parent) == [
        clips / "train.wav",
        clips / "more" / "train.wav",
        layout.parent / "loose" / "a.flac",
    ]


def test_a_folder_without_audio_is_told(tmp_path):
    with pytest.raises(UserError, match="no audio folder"):
        find_audio(tmp_path / "absent")
    with pytest.raises(UserError, match="holds no audio"):
        find_audio(tmp_path)
