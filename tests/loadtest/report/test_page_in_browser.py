"""The page in a real Chromium, from a file, as people open it."""

from __future__ import annotations

import re
import shutil

import msgspec
import pytest

from loadtest.report.page import render
from loadtest.results.model import SCHEMA, Comparison
from tests.loadtest.report import sample

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PLANS = sample.PLANS[:2]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 400, "height": 800}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        playwright.expect.set_options(timeout=15_000)
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("page") / "page.html"
    names = {plan.name for plan in PLANS}
    shown = [each for each in found.results if each.scenario in names and each.round == 1]
    path.write_text(render(Comparison(SCHEMA, found.started, shown)), encoding="utf-8")
    return path


class Opened:
    """A page, and all that it asked for and complained about."""

    def __init__(self, browser, path, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.goto(path.as_uri())

    def drawn(self):
        self.page.wait_for_selector("body[data-drawn=all]", timeout=30_000)
        return self


@pytest.fixture(scope="module")
def wide(browser, file):
    opened = Opened(browser, file, viewport=WIDE, color_scheme="light").drawn()
    yield opened
    opened.context.close()


@pytest.fixture(scope="module")
def narrow(browser, file):
    opened = Opened(browser, file, viewport=NARROW, color_scheme="dark").drawn()
    yield opened
    opened.context.close()


MARKS = """() => [...document.querySelectorAll('figure')].map(figure => {
  const size = path => { const box = path.getBoundingClientRect(); return [box.width, box.height]; };
  return {
    title: figure.querySelector('h3').textContent,
    lines: [...figure.querySelectorAll('.scatterlayer path.js-line')].map(size),
    fills: [...figure.querySelectorAll('.scatterlayer path.js-fill')].map(size),
    plot: size(figure.querySelector('.cartesianlayer .xy .gridlayer') || figure.querySelector('.plot')),
    width: figure.querySelector('.plot').clientWidth,
  };
})"""


def test_only_the_file_itself_is_asked_for_and_nothing_is_complained_about(wide, narrow, file):
    for opened in (wide, narrow):
        assert opened.requests == [file.as_uri()]
        assert opened.complaints == []


def test_every_plot_is_drawn_with_curves_of_real_extent(wide, narrow):
    for opened in (wide, narrow):
        figures = opened.page.evaluate(MARKS)
        assert len(figures) == len(PLANS) * 4
        for figure in figures:
            inside = figure["width"] - 70
            if figure["title"].startswith("Success"):
                full = [fill for fill in figure["fills"] if fill[0] >= inside * 0.97 and fill[1] > 60]
                assert len(full) == len(sample.SUBJECTS), figure
            else:
                panels = 2 if figure["title"] == "Latency over time" else 1
                count = 4 * len(sample.SUBJECTS) if figure["title"].startswith("Traffic") else panels * 4
                long = [line for line in figure["lines"] if line[0] >= inside * 0.85 and line[1] > 1]
                assert len(long) == count, figure


def test_fault_windows_are_shaded_where_they_held(wide):
    boxes = wide.page.evaluate("""() => [...document.querySelectorAll('figure')].slice(0, 4).map(figure => ({
      plot: (({left, width}) => [left, width])(figure.querySelector('.plot').getBoundingClientRect()),
      shades: [...figure.querySelectorAll('.shapelayer path')].map(path => {
        const box = path.getBoundingClientRect();
        return [box.left, box.width, box.height];
      }),
    }))""")
    over_time = [boxes[0], boxes[2], boxes[3]]
    assert boxes[1]["shades"] == []
    for figure in over_time:
        left, width = figure["plot"]
        begin, scale = left + 58, (width - 58 - 12) / 20
        tall = [shade for shade in figure["shades"] if shade[1] > 20 and shade[2] > 250]
        assert len(tall) == 1
        assert tall[0][0] == pytest.approx(begin + 6 * scale, abs=3)
        assert tall[0][1] == pytest.approx(8 * scale, abs=3)


def test_no_label_lies_upon_another_and_the_page_does_not_scroll_sideways(wide, narrow):
    for opened in (wide, narrow):
        overlaps = opened.page.evaluate("""() => [...document.querySelectorAll('figure .plot')].flatMap(plot => {
          const texts = [...plot.querySelectorAll('.annotation-text, .xtick text, .xtitle, .infolayer .gtitle')]
            .concat([...plot.querySelectorAll('.ytick text')]).filter(each => each.textContent.trim());
          const boxes = texts.map(each => [each.textContent, each.getBoundingClientRect()]);
          return boxes.flatMap(([one, a], number) => boxes.slice(number + 1)
            .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
              && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2.5)
            .map(([other]) => `${one} / ${other}`));
        })""")
        assert overlaps == []
        assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_labels_say_all_where_there_is_room_and_a_letter_where_there_is_not(wide, narrow):
    def told(opened):
        return opened.page.locator("figure").nth(4).locator(".annotation-text").all_text_contents()

    assert "A echo 2 answers 503" in told(wide)
    assert "C the control plane is killed" in told(wide)
    assert "C" in told(narrow)
    assert sum(text.endswith("of successes") for text in told(narrow)) == 2


def test_tables_have_the_numbers_aligned_right(wide):
    found = sample.result(PLANS[0], "meshproxy")
    cell = wide.page.locator("#glance tbody tr").first.locator("td").nth(1)
    assert cell.inner_text().startswith(f"{int(found.summary.success_percent * 100) / 100:.2f} %")
    assert cell.evaluate("each => getComputedStyle(each).textAlign") == "right"


def test_a_press_on_the_legend_hides_a_curve_and_another_brings_it_back(wide):
    figure = wide.page.locator("figure").nth(0)
    button = figure.locator("button", has_text="envoy")
    for pressed, count in (("false", 6), ("true", 8)):
        button.click()
        assert button.get_attribute("aria-pressed") == pressed
        playwright.expect(figure.locator(".scatterlayer path.js-line")).to_have_count(count)


def test_dark_and_light_have_text_that_can_be_read(wide, narrow):
    def ink(opened):
        text = opened.page.locator(".xtick text").first
        return [
            sum(map(int, re.findall(r"\d+", colour)[:3]))
            for colour in (
                text.evaluate("each => getComputedStyle(each).fill"),
                text.evaluate("() => getComputedStyle(document.body).backgroundColor"),
            )
        ]

    light_ink, light_paper = ink(wide)
    dark_ink, dark_paper = ink(narrow)
    assert light_paper - light_ink > 400
    assert dark_ink - dark_paper > 400


def test_plots_follow_a_window_that_changes_its_width(wide):
    svg = wide.page.locator("figure .main-svg").first
    before = svg.get_attribute("width")
    for size, is_wide in ((NARROW, False), (WIDE, True)):
        wide.page.set_viewport_size(size)
        drawn = playwright.expect(svg)
        (drawn.to_have_attribute if is_wide else drawn.not_to_have_attribute)("width", before)
        assert (svg.bounding_box()["width"] > 800) == is_wide


def test_without_javascript_the_tables_are_there_and_no_empty_plots(browser, file):
    opened = Opened(browser, file, viewport=WIDE, java_script_enabled=False)
    assert opened.page.get_by_text("The plots need JavaScript").is_visible()
    assert opened.page.locator("#glance table").is_visible()
    assert opened.page.locator("section.chapter table").count() == len(PLANS) * 5
    assert not any(figure.is_visible() for figure in opened.page.locator("figure").all())
    opened.context.close()


def test_hostile_text_does_nothing_and_is_shown(browser, tmp_path):
    hostile = "</script><img src=x onerror=alert(1)>\u2028'\"<a href=https://example.org>a</a>"
    first = sample.result(PLANS[0], "direct")
    windows = [msgspec.structs.replace(first.windows[0], what=hostile)]
    result = msgspec.structs.replace(
        first, scenario=hostile, subject=hostile, windows=windows, problems=[hostile], configuration={hostile: hostile}
    )
    path = tmp_path / "hostile.html"
    path.write_text(render(Comparison(SCHEMA, hostile, [result], failures=[hostile])), encoding="utf-8")
    opened = Opened(browser, path, viewport=WIDE).drawn()
    assert opened.requests == [path.as_uri()]
    assert opened.complaints == []
    assert opened.page.locator("img, a[href^=http], svg a").count() == 0
    titles = opened.page.locator("figure").nth(2).locator(".annotation-text").all_text_contents()
    assert any("</script><img src=x onerror=alert(1)>" in title for title in titles)
    opened.context.close()
