import pytest
from prompts_tree import build_tree, prepare


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return build_tree(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("save")
    report = prepare(folder, source)["en"]
    return folder / "en", report
