"""Shares the suite between the workers of pytest-xdist (``make test``); a run without workers does not need it."""

from pathlib import Path

import pytest

ELASTICSEARCH = ("elasticsearch_url", "on_servers")
"""What a file that uses Elasticsearch names. It is dear to start: half a minute of a core, and 1 GB of memory."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give each file to one worker, and all files that use Elasticsearch to the same one.

    In the order of their names: the files that take longest are in the first folders, and
    nobody waits for them at the end.
    """
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Sharing(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "elasticsearch" if file in elastic else file

    config.option.loadscopereorder = False
    tests = {path: path.read_text("utf-8") for path in config.rootpath.glob("tests/**/test_*.py")}
    elastic = {_name(path, config) for path, text in tests.items() if any(word in text for word in ELASTICSEARCH)}
    return Sharing(config, log)


def _name(path: Path, config: pytest.Config) -> str:
    return path.relative_to(config.rootpath).as_posix()
