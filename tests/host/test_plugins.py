"""Discovery, the checks of a plugin's hooks, and the start order."""

import itertools
import sys
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType

import pytest

from host.api import API_VERSION, Mount, PluginError, PluginInfo, hookimpl
from host.plugins import Candidate, find_candidates, load, start_order
from tests.host.fake_plugins import install, make_module, make_plugin


def info() -> PluginInfo:
    return PluginInfo(summary="A fake.")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path in which a test can put modules and the metadata of their distributions."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


GOOD = """
from host.api import PluginInfo, hookimpl

@hookimpl
def quartet_info():
    return PluginInfo(summary="Good.")
"""


def test_find_candidates_imports_nothing(installed: Path) -> None:
    install(installed, "explosive", "raise RuntimeError('imported')")
    candidates, errors = find_candidates()
    assert candidates["explosive"].origin == "explosive-dist 1.2.3"
    assert errors == []
    assert "explosive_module" not in sys.modules


def test_find_candidates_in_safe_mode_has_the_built_ins_only(installed: Path) -> None:
    install(installed, "stranger", GOOD)
    assert "stranger" in find_candidates()[0]
    safe, _ = find_candidates(safe_mode=True)
    assert safe
    assert all(candidate.distribution is None for candidate in safe.values())


def test_find_candidates_refuses_a_taken_and_a_malformed_name(installed: Path) -> None:
    built_in = next(iter(find_candidates(safe_mode=True)[0]))
    install(installed, built_in, GOOD)
    install(installed, "Bad-Name", GOOD)
    candidates, errors = find_candidates()
    assert candidates[built_in].distribution is None
    assert "Bad-Name" not in candidates
    assert sorted(error.plugin for error in errors) == sorted([built_in, "Bad-Name"])
    assert all("1.2.3" in str(error) for error in errors)


def test_load_names_plugin_distribution_version_and_phase_of_a_broken_import(installed: Path) -> None:
    install(installed, "broken", "import no_such_module_anywhere")
    with pytest.raises(PluginError, match=r"'broken' \(broken-dist 1\.2\.3\) failed in import: .*no_such_module"):
        load(find_candidates()[0]["broken"])


def test_load_of_a_module_that_is_not_on_the_path_says_what_an_editable_install_needs(installed: Path) -> None:
    install(installed, "editable", GOOD)
    (installed / "editable_module.py").unlink()
    with pytest.raises(PluginError, match="installed while the host ran, start the host again"):
        load(find_candidates()[0]["editable"])


def test_load_survives_a_module_that_exits(installed: Path) -> None:
    install(installed, "quitter", "raise SystemExit(3)")
    with pytest.raises(PluginError, match="failed in import: SystemExit"):
        load(find_candidates()[0]["quitter"])


def test_load_refuses_a_distribution_made_for_another_host_before_importing_it(installed: Path) -> None:
    install(installed, "elderly", "raise RuntimeError('imported')", requires="quartet-host<0.0.1")
    with pytest.raises(PluginError, match=r"failed in compatibility: it requires quartet-host<0\.0\.1"):
        load(find_candidates()[0]["elderly"])
    assert "elderly_module" not in sys.modules


def test_load_takes_a_good_distribution(installed: Path) -> None:
    install(installed, "good", GOOD)
    plugin = load(find_candidates()[0]["good"])
    assert (plugin.name, plugin.version, plugin.hooks) == ("good", "1.2.3", ["quartet_info"])
    assert isinstance(plugin.candidate.distribution, Distribution)


def test_load_suggests_the_hook_that_was_meant() -> None:
    def quartet_task() -> None: ...

    module = make_module("misspelt", quartet_info=info, quartet_task=quartet_task)
    with pytest.raises(PluginError, match=r"no hook 'quartet_task' \(did you mean 'quartet_tasks'\?\)"):
        load(Candidate("misspelt", module))


def test_load_refuses_an_async_hook() -> None:
    async def quartet_tasks() -> None: ...

    module = make_module("eager", quartet_info=info, quartet_tasks=quartet_tasks)
    with pytest.raises(PluginError, match="quartet_tasks is asynchronous"):
        load(Candidate("eager", module))


def test_load_refuses_a_hook_that_was_not_marked() -> None:
    module = ModuleType("fake_plugin_unmarked")

    def quartet_info() -> PluginInfo:
        return info()

    quartet_info.__module__ = module.__name__
    module.__dict__["quartet_info"] = quartet_info
    sys.modules[module.__name__] = module
    with pytest.raises(PluginError, match="not marked with @hookimpl"):
        load(Candidate("unmarked", module.__name__))


def test_load_refuses_an_argument_that_the_hook_has_not() -> None:
    def quartet_tasks(context: object) -> None: ...

    module = make_module("argumentative", quartet_info=info, quartet_tasks=quartet_tasks)
    with pytest.raises(PluginError, match=r"failed in hooks: .*argumentative"):
        load(Candidate("argumentative", module))


def test_load_asks_for_the_info_hook() -> None:
    with pytest.raises(PluginError, match="failed in quartet_info: the hook is missing"):
        load(Candidate("anonymous", make_module("anonymous")))


@pytest.mark.parametrize(
    ("requires_api", "reason"),
    [("2.0", "needs plugin API 2.0"), ("0.9", "upgrade the plugin"), ("1.999", "upgrade the host"), ("one", "MAJOR")],
)
def test_load_refuses_another_api(requires_api: str, reason: str) -> None:
    def quartet_info() -> PluginInfo:
        return PluginInfo(summary="From another time.", requires_api=requires_api)

    with pytest.raises(PluginError, match=reason):
        load(Candidate("foreign", make_module("foreign", quartet_info=quartet_info)))


def test_load_takes_this_api() -> None:
    def quartet_info() -> PluginInfo:
        return PluginInfo(summary="Of today.", requires_api=API_VERSION)

    load(Candidate("native", make_module("native", quartet_info=quartet_info)))


def test_call_names_the_hook_that_raised() -> None:
    def quartet_routes() -> list[Mount]:
        raise ZeroDivisionError("by zero")

    plugin = load(Candidate("raiser", make_module("raiser", quartet_info=info, quartet_routes=quartet_routes)))
    with pytest.raises(PluginError, match=r"failed in quartet_routes: ZeroDivisionError: by zero"):
        plugin.call("quartet_routes", ctx=None, state=None)


def test_start_order_puts_requirements_first_whatever_the_order_of_listing() -> None:
    plugins = [
        make_plugin("c", requires=("b",)),
        make_plugin("b", requires=("a",)),
        make_plugin("a"),
        make_plugin("d", after=("c", "absent")),
    ]
    for listing in itertools.permutations(plugins):
        order, errors = start_order(listing)
        assert errors == []
        assert [plugin.name for plugin in order] == ["a", "b", "c", "d"]


def test_start_order_prints_the_cycle_and_starts_the_rest() -> None:
    plugins = [
        make_plugin("x", requires=("y",)),
        make_plugin("y", after=("z",)),
        make_plugin("z", requires=("x",)),
        make_plugin("free"),
        make_plugin("dependent", requires=("x",)),
    ]
    order, errors = start_order(plugins)
    assert [plugin.name for plugin in order] == ["free"]
    assert {error.plugin for error in errors} == {"x", "y", "z", "dependent"}
    cycle = next(str(error) for error in errors if error.plugin == "x")
    assert any(" → ".join(turn) in cycle for turn in (["x", "y", "z", "x"], ["y", "z", "x", "y"], ["z", "x", "y", "z"]))


def test_start_order_leaves_out_what_misses_its_requirement_and_all_that_requires_it() -> None:
    order, errors = start_order([make_plugin("b", requires=("a",)), make_plugin("c", requires=("b",))])
    assert order == []
    assert [error.plugin for error in errors] == ["b", "c"]
    assert "requires 'a', which is not enabled" in str(errors[0])


def test_hookimpl_is_pluggys_marker_for_this_host() -> None:
    assert hookimpl.project_name == "quartet"
