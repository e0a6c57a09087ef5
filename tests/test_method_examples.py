"""The examples of methods: each runs in its short form, says something with numbers, and leaves a picture."""

import re

import pytest

from curvblas import __main__
from curvblas.examples import method_examples


@pytest.mark.parametrize("name", method_examples.NAMES)
def test_each_runs_and_leaves_a_picture(name, tmp_path, capsys):
    for package in ("matplotlib", "PIL", "rich", "sklearn", "threadpoolctl", "gymnasium"):
        pytest.importorskip(package)

    __main__.main(["methods", name, "--quick", "--output", str(tmp_path)])

    page = (tmp_path / "method_examples.md").read_text()
    assert name in capsys.readouterr().out
    assert len(re.findall(r"\d", page.partition(f"## {name}")[2])) >= 6
    assert not re.search(r"\b(nan|inf)\b", page.partition(f"## {name}")[2].lower())
    assert (tmp_path / f"method_{name}.png").stat().st_size > 20_000


def test_a_name_that_is_none_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"NAME must be one of exact, .*, got newtonn"):
        __main__.main(["methods", "newtonn", "--output", str(tmp_path / "never")])

    assert not (tmp_path / "never").exists()
