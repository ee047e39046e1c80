"""The page in a real headless Chromium: it moves, its buttons and keys work, it fits, and it tells when things end."""

import shutil
import time
from urllib.parse import urlsplit

import pytest

from dvspipe.show.web import WebView

from .web_stream import Hand, Player, moment, stage

PICTURE = "() => { const c = document.getElementById('picture'); return c.toDataURL() + c.width }"
LIT = """() => { const c = document.getElementById('picture');
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let warm = 0, cool = 0;
  for (let i = 0; i < d.length; i += 4) { warm += d[i] > d[i + 2] + 60; cool += d[i + 2] > d[i] + 60; }
  return [warm, cool] }"""
CLASSES_40 = tuple(f"class number {index} with quite a long name" for index in range(40))


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no browser on this machine: install chromium or google-chrome")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def hand():
    return Hand()


@pytest.fixture
def view(hand):
    with WebView(hand, on_url=lambda url: None) as view:
        yield view


@pytest.fixture
def tabs(browser):
    """Opens pages; in the end none of them may have complained or have asked another host for anything."""
    opened, complaints, asked = [], [], set()

    def open_tab(url, width=1440, height=900, **kept):
        tab = browser.new_page(viewport={"width": width, "height": height}, **kept)
        opened.append(tab)
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        tab.on("websocket", lambda line: asked.add(urlsplit(line.url).netloc))
        asked.add(urlsplit(url).netloc)
        tab.goto(url)
        return tab

    yield open_tab
    for tab in opened:
        if not tab.is_closed():
            tab.close()
    lost = "WebSocket connection to"  # the browser's own words about a server that is gone
    assert [text for text in complaints if lost not in text] == []
    assert {host.split(":")[0] for host in asked} == {"127.0.0.1"}


def becomes(tab, condition, seconds=5):
    """Waits; playwright's own waiting needs `eval`, which the page forbids."""
    end = time.monotonic() + seconds
    while not tab.evaluate(condition):
        assert time.monotonic() < end, f"{condition} did not come true in {seconds} s"
        tab.wait_for_timeout(30)


def reads(tab, place, text, seconds=5):
    becomes(tab, f"document.querySelector({place!r}).textContent.includes({text!r})", seconds)


def test_the_picture_moves_in_both_colours(view, tabs):
    with Player(view):
        tab = tabs(view.url)
        becomes(tab, f"({LIT})().every((count) => count > 3)")
        first = tab.evaluate(PICTURE)
        becomes(tab, f"({PICTURE})() !== {first!r}")
        assert first.endswith("32")


def test_shows_what_is_decided_and_whether_it_is_right(view, tabs):
    view.open(stage())
    for index in range(40, 52):  # the second second: "right arm" is labelled, "left arm" decided
        view.update(moment(index, stage()))
    tab = tabs(view.url)
    reads(tab, "#label", "left arm")
    reads(tab, "#truth", "for 0.3 s · wrong, labelled right arm")
    assert tab.inner_text("#verdict") == "✗"
    assert tab.inner_text("#confidence") == "0.75" and "wrong" in tab.get_attribute(".decision", "class")
    rows = tab.locator("#evidence li")
    assert rows.all_inner_texts()[0].split("\n") == ["left arm", "0.75"] and rows.count() == 3
    assert (
        "decided" in rows.nth(0).get_attribute("class")
        and rows.nth(1).locator(".mark").get_attribute("title") == "labelled"
    )
    assert tab.inner_text("#clock") == "0:01.3" and tab.inner_text("#length") == " / 0:20.0"
    for index in range(120, 130):  # "left arm" again, rightly
        view.update(moment(index, stage()))
    reads(tab, "#truth", "right, as labelled")
    assert tab.inner_text("#verdict") == "✓"
    for index in range(80, 92):
        view.update(moment(index, stage()))
    reads(tab, "#label", "nothing decided")
    reads(tab, "#truth", "for 0.3 s · labelled arm roll")


def test_shows_numbers_spikes_and_attention(view, tabs):
    with Player(view):
        tab = tabs(view.url)
        reads(tab, "#latency", "3.50 ms")
        assert "8 kev/s" in tab.inner_text("#rate") and "1.25 ms" in tab.inner_text("#latency")
        status = " ".join(tab.inner_text("#status").split())
        for words in ("waiting 1 bin", "dropped 2 bins", "lost 30 events", "1.00× real time", "mode causal"):
            assert words in status, words
        becomes(tab, "!document.getElementById('attention-card').hidden")
        assert tab.locator("#spikes li").all_inner_texts() == ["conv1\n0.100", "hidden\n0.050"]
        assert tab.evaluate("document.querySelector('#over-time canvas').width") == 20
        assert tab.evaluate("document.querySelector('#over-space canvas').width") == 4
    view.open(stage(title="another"))
    becomes(tab, "document.getElementById('attention-card').hidden")
    assert tab.inner_text("#title") == "another"
    reads(tab, "#truth", "waiting for the first bin")


def test_no_panel_for_attention_that_is_not_there(view, tabs):
    import dataclasses

    from dvspipe.show.moment import Looks

    view.open(stage())
    view.update(dataclasses.replace(moment(0, stage()), looks=Looks({"conv1": 0.1})))
    tab = tabs(view.url)
    becomes(tab, "!document.getElementById('spikes-card').hidden")
    assert tab.locator("#attention-card").is_hidden()


def test_buttons_control_the_run(view, hand, tabs):
    with Player(view):
        tab = tabs(view.url)
        tab.click("#play")
        reads(tab, "#state", "paused")
        assert tab.get_attribute("#play", "aria-label") == "Play"
        tab.click("#step")
        tab.click("#play")
        reads(tab, "#state", "live")
        tab.select_option("#speed", "8")
        becomes(tab, "document.getElementById('speed').value === '8'")
        tab.select_option("#speed", "0")
        tab.wait_for_timeout(200)
    assert hand.calls == ["pause", "step", "play", ("speed", 8.0), ("speed", 0.0)]


def test_a_speed_that_the_run_refuses_is_not_shown(view, hand, tabs):
    with Player(view):
        tab = tabs(view.url)
        reads(tab, "#state", "live")
        tab.select_option("#speed", "4")
        becomes(tab, "document.getElementById('speed').value === '1'")
        hand.speed = 3.0
        becomes(tab, "document.getElementById('speed').selectedOptions[0].textContent === '3×'")


def test_click_and_drag_on_the_timeline_seek(view, hand, tabs):
    with Player(view):
        tab = tabs(view.url)
        reads(tab, "#state", "live")
        box = tab.locator("#timeline").bounding_box()
        middle = box["y"] + box["height"] / 3
        tab.mouse.click(box["x"] + box["width"] / 2, middle)
        tab.wait_for_timeout(200)
        assert hand.calls[0][0] == "seek" and abs(hand.calls[0][1] - 10_000_000) < 100_000 and len(hand.calls) == 1
        tab.mouse.move(box["x"] + box["width"] / 4, middle)
        tab.mouse.down()
        assert "0:05" in tab.inner_text("#tip")
        for share in (0.3, 0.4, 0.5, 2.0):
            tab.mouse.move(box["x"] + box["width"] * share, middle)
            tab.wait_for_timeout(150)
        tab.mouse.up()
        tab.wait_for_timeout(200)
    assert 3 <= len(hand.calls) <= 7 and hand.calls[-1] == ("seek", 20_000_000), "clamped to the recording"


def test_keys_control_the_run(view, hand, tabs):
    view.open(stage())
    for index in range(240):
        view.update(moment(index, stage()))  # up to 6 s
    tab = tabs(view.url)
    reads(tab, "#clock", "0:06.0")
    tab.keyboard.press("Space")
    reads(tab, "#state", "paused")
    tab.keyboard.press("Space")
    reads(tab, "#state", "live")
    for key in (".", "ArrowRight", "ArrowRight"):
        tab.keyboard.press(key)
    tab.wait_for_timeout(600)
    for key in ("ArrowLeft", "Home", "End", "Control+.", "x"):
        tab.keyboard.press(key)
        tab.wait_for_timeout(50)
    tab.wait_for_timeout(500)
    tab.keyboard.press("Shift+ArrowLeft")
    becomes(tab, "document.getElementById('speed').value === '1'")
    tab.keyboard.press("+")
    becomes(tab, "document.getElementById('speed').value === '2'")
    tab.keyboard.press("-")
    becomes(tab, "document.getElementById('speed').value === '1'")
    seeks = [call[1] for call in hand.calls if call[0] == "seek"]
    assert seeks == [7_000_000, 8_000_000, 5_000_000, 0, 20_000_000, 1_000_000], "held keys add up"
    assert [call for call in hand.calls if call[0] != "seek"] == [
        "pause",
        "play",
        "step",
        ("speed", 2.0),
        ("speed", 1.0),
    ]


def test_help_opens_and_closes_and_keeps_the_keys_to_itself(view, hand, tabs):
    with Player(view):
        tab = tabs(view.url)
        reads(tab, "#state", "live")
        tab.keyboard.press("?")
        assert tab.locator("#help").is_visible() and "play or pause" in tab.inner_text("#help")
        tab.keyboard.press(".")
        tab.keyboard.press("Escape")
        assert tab.locator("#help").is_hidden()
        tab.click("#help-open")
        tab.click("#help button")
        assert tab.locator("#help").is_hidden()
    assert hand.calls == []


def test_after_a_mouse_click_space_is_the_pages_again(view, hand, tabs):
    with Player(view):
        tab = tabs(view.url)
        reads(tab, "#state", "live")
        tab.click("#step")
        reads(tab, "#state", "paused")
        tab.keyboard.press("Space")
        reads(tab, "#state", "live")
    assert hand.calls == ["step", "play"]


def test_everything_can_be_reached_by_keyboard_and_has_a_name(view, tabs):
    with Player(view):
        tab = tabs(view.url)
        reads(tab, "#state", "live")
        reached = []
        for _ in range(8):
            tab.keyboard.press("Tab")
            reached.append(tab.evaluate("document.activeElement.id"))
            outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none" or not reached[-1], reached[-1]
        assert {"help-open", "play", "step", "speed", "track"} <= set(reached)
        tree = tab.locator("main").aria_snapshot()
        for name in (
            'button "Pause"',
            'button "One bin further"',
            'combobox "Speed, times real time"',
            'slider "Position',
        ):
            assert name in tree, name
        assert 0 <= float(tab.get_attribute("#track", "aria-valuenow")) <= 20


def test_a_camera_shows_no_controls_and_the_last_minute(view, hand, tabs):
    with Player(view, stage(can_seek=False, seconds=None)):
        tab = tabs(view.url)
        reads(tab, "#state", "live")
        assert tab.locator("#controls").is_hidden() and tab.get_attribute("#track", "role") is None
        tab.mouse.click(700, 800)
        tab.keyboard.press("Space")
        tab.wait_for_timeout(200)
        assert tab.inner_text("#length") == ""
    assert hand.calls == []


@pytest.mark.parametrize("classes", [("no", "yes"), CLASSES_40])
def test_fits_every_width_without_scrolling_sideways(view, tabs, classes):
    with Player(view, stage(classes, title="a_recording_with_a_very_long_name_" * 4)):
        tab = tabs(view.url)
        becomes(tab, "!document.getElementById('attention-card').hidden")
        for width in (360, 390, 768, 1100, 1440, 2200):
            tab.set_viewport_size({"width": width, "height": 800})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            box = tab.locator("#picture").bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["width"] > 200 and box["height"] > 200, (
                width
            )


def test_a_second_viewer_and_a_closed_tab_do_no_harm(view, tabs):
    with Player(view):
        first, second = tabs(view.url), tabs(view.url, 390, 844)
        reads(first, "#state", "live")
        reads(second, "#state", "live")
        first.close()
        before = second.evaluate(PICTURE)
        becomes(second, f"({PICTURE})() !== {before!r}")
        third = tabs(view.url)
        reads(third, "#state", "live")


def test_tells_the_end_and_keeps_the_last_picture(view, hand, tabs):
    with Player(view):
        tab = tabs(view.url)
        becomes(tab, f"({LIT})().every((count) => count > 3)")
    view.finish("end of the recording")
    reads(tab, "#state", "ended")
    assert tab.inner_text("#banner-text") == "The run has ended: end of the recording."
    assert tab.evaluate(LIT)[0] > 3 and tab.locator("#play").is_disabled()
    tab.keyboard.press("Space")
    tab.wait_for_timeout(100)
    assert hand.calls == []
    late = tabs(view.url)
    reads(late, "#state", "ended")
    becomes(late, f"({LIT})()[0] > 3")


def test_tells_the_loss_of_the_server_and_comes_back_with_it(hand, tabs):
    with WebView(hand, on_url=lambda url: None) as view, Player(view):
        port = int(view.url.rsplit(":", 1)[1])
        tab = tabs(view.url)
        reads(tab, "#state", "live")
    reads(tab, "#banner-text", "The server has closed")
    with WebView(hand, port=port, on_url=lambda url: None) as view, Player(view, stage(title="the next run")):
        reads(tab, "#title", "the next run", 10)
        reads(tab, "#state", "live")
        assert tab.locator("#banner").is_hidden()
        view._loop.call_soon_threadsafe(
            lambda: [each.transport.abort() for each in view._server.server_state.connections]
        )
        reads(tab, "#state", "server gone")
        assert "server is gone" in tab.inner_text("#banner-text") and tab.locator("#play").is_disabled()
        tab.click("#again")
        reads(tab, "#state", "live")


def test_names_from_files_are_never_markup(view, tabs):
    evil = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
    of = stage((evil, "b", "c"), title=evil)
    with Player(view, of):
        tab = tabs(view.url)
        reads(tab, "#label", "<img src=x")
        reads(tab, "#title", "<script>")
        tab.hover("#timeline", position={"x": 40, "y": 10})
        reads(tab, "#tip", "<img")
        assert "hacked" not in tab.evaluate("document.title").split("·")[0]
        assert tab.locator("main img, main script").count() == 0
    view.finish(evil)
    reads(tab, "#banner-text", "<img")
    assert tab.locator("#banner img").count() == 0


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_words_can_be_read_in_both_schemes(view, tabs, scheme):
    """Contrast of at least 4.5:1, as WCAG AA asks."""
    contrast = """(place) => { const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((v) => ((v / 255) ** 2.2));
      const light = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b; let at = document.querySelector(place), back = at;
      while (getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
      const [a, b] = [getComputedStyle(at).color, getComputedStyle(back).backgroundColor].map((c) => light(rgb(c)) + 0.05);
      return Math.max(a, b) / Math.min(a, b) }"""
    places = ["#title", "#run", "#label", "#truth", "#truth b", "#evidence .value", "#evidence .name", "#status dt"]
    view.open(stage())
    tab = tabs(view.url, color_scheme=scheme)
    for index, word in ((45, "wrong"), (125, "right")):
        view.update(moment(index, stage()))
        reads(tab, "#truth", word)
        for place in (*places, "#status .warn dd", ".legend", "#sensor", "#rate", "#hint", "h2 small"):
            assert tab.evaluate(contrast, place) >= 4.5, place


def test_less_motion_where_it_is_asked_for(view, tabs):
    with Player(view):
        tab = tabs(view.url, reduced_motion="reduce")
        reads(tab, "#state", "live")
        assert tab.evaluate("getComputedStyle(document.querySelector('.state i')).animationName") == "none"
        count = """new Promise((done) => { let drawn = 0, pen = CanvasRenderingContext2D.prototype, put = pen.putImageData;
          pen.putImageData = function (...all) { drawn += this.canvas.id === 'picture'; put.apply(this, all); };
          setTimeout(() => done(drawn), 1500) })"""
        assert 2 <= tab.evaluate(count) <= 7


def test_the_page_keeps_up_with_twenty_pictures_a_second(view, tabs):
    with Player(view, size=128, of=stage(size=128)):
        tab = tabs(view.url)
        reads(tab, "#state", "live")
        start, old = time.monotonic(), None
        seen = 0
        while time.monotonic() < start + 2:
            picture = tab.evaluate(PICTURE)
            seen, old = seen + (picture != old), picture
        assert seen >= 10
