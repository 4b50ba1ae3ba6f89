"""The README's commands stand where they must, and its Python runs."""

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_two_commands_stand_at_the_top_on_lines_of_their_own():
    lines = README.splitlines()[:6]
    assert "python -m pip install . && imnn-lab demo" in lines
    assert 'python -m pip install -e ".[test]" && python -m pytest' in lines


def test_the_python_of_the_readme_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    run = names["run"]
    assert run.has_ended
    assert names["imnn"].F.shape == (2, 2)
    assert "stopped" in capsys.readouterr().out
    assert names["ABC"].num_accepted[0] == 500
