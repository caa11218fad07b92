"""axe-core over what a page shows: WCAG 2.2, levels A and AA (https://github.com/dequelabs/axe-core)."""

from typing import Any

from playwright.sync_api import Page

from tests.web.node_packages import installed

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
COLOUR_RULES = ["color-contrast", "link-in-text-block"]
"""All that a theme can change."""
SETTLED = """async () => {
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const finite = document.getAnimations().filter((each) => each.effect.getComputedTiming().endTime !== Infinity);
  await Promise.allSettled(finite.map((each) => each.finished));
}"""
"""Resolves once a change of theme has faded in: colours of the moment between are nobody's."""


class Axe:
    """Finds violations in pages."""

    def __init__(self) -> None:
        self._script = (installed("axe-core") / "axe.min.js").read_text()

    def violations(self, page: Page, *, only_colours: bool = False) -> list[str]:
        """A line for each element that breaks a rule, as the page is now.

        axe comes in by the debugger, so that the page keeps its Content-Security-Policy.
        """
        if not page.evaluate("'axe' in window"):
            page.evaluate(self._script)
        page.evaluate(SETTLED)
        which = {"type": "rule", "values": COLOUR_RULES} if only_colours else {"type": "tag", "values": TAGS}
        options = {"runOnly": which, "resultTypes": ["violations"]}
        found: list[dict[str, Any]] = page.evaluate(
            "async (options) => (await axe.run(document, options)).violations", options
        )
        return [f"{rule['id']}: {node['target']}: {_reason(node)}" for rule in found for node in rule["nodes"]]


def _reason(node: dict[str, Any]) -> str:
    checks = node["any"] + node["all"] + node["none"]
    return f"{'; '.join(check['message'] for check in checks)} in {node['html'][:200]}"
