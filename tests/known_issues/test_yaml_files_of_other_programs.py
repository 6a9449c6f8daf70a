"""A YAML file of another program of a recipe ended in a traceback, or trained something else; help listed it."""

import pytest
from recipe_tools import RECIPES, load_recipe

from s3_speechbrain.brains.usage import help_text, sections

PARP, MANY = RECIPES / "CommonVoice" / "parp", RECIPES / "CommonVoice" / "multilingual"


@pytest.mark.parametrize(
    ("recipe", "program", "file", "options"),
    [
        (PARP, "joint.py", "demo.yaml", []),
        (PARP, "train.py", "joint.yaml", ["--language=en"]),
        (MANY, "train.py", "add_language.yaml", ["--bank=bank", "--language=fr"]),
    ],
)
def test_it_is_refused(tiny_corpus, tiny_encoder, tmp_path, capsys, recipe, program, file, options):
    paths = (f"--data_folder={tiny_corpus}", f"--source={tiny_encoder}", f"--output_folder={tmp_path}")
    with pytest.raises(SystemExit, match="2"):
        load_recipe(str(recipe.relative_to(RECIPES)), program).main(
            [str(recipe / "hparams" / file), *paths, *options]
        )
    assert "this YAML file is of" in capsys.readouterr().err


def test_one_language_for_a_recipe_of_several_is_refused(tiny_corpus, tmp_path, capsys):
    file, paths = (
        MANY / "hparams" / "demo.yaml",
        [f"--data_folder={tiny_corpus}", f"--output_folder={tmp_path}"],
    )
    for given in (["--language=en"], ["--language", "en"]):
        with pytest.raises(SystemExit, match="2"):
            load_recipe("CommonVoice/multilingual").main([str(file), *paths, *given])
        assert 'give a list such as --languages "[tr]"' in capsys.readouterr().err
    assert not any("language" in options for options in sections(file).values())


def test_help_lists_the_files_of_its_program_and_explains_the_one_that_the_purpose_names():
    joint = help_text("joint.py", load_recipe("CommonVoice/parp", "joint.py").__doc__, PARP / "hparams")
    train = help_text("train.py", load_recipe("CommonVoice/parp").__doc__, PARP / "hparams")
    assert f"usage: python joint.py {PARP / 'hparams' / 'joint.yaml'} " in joint
    assert "demo_whisper.yaml" in train
    assert "demo_whisper.yaml" not in joint
    assert "joint_xlsr53.yaml" in joint
    assert "joint_xlsr53.yaml" not in train
