"""The workbench in a real browser: its figures are the warehouse's, handles answer, and it fits every screen."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from dashboard.look import formatting as fmt
from data.store.store import Store
from tests.browser.conftest import Visit

WIDE, PHONE = (1440, 900), (390, 844)
PAGES = {"overview": "/", "what-if": "/what-if?eth=-18&btc=-10&vol=1.5", "risk": "/risk", "about": "/about"}


def stored(warehouse: Path, measure: str, level: float = 0.99) -> tuple[float, float, float]:
    """(value, low, high) of the newest run, straight from the table."""
    with Store.open(warehouse, readonly=True) as store:
        return store.rows(
            "SELECT value, low, high FROM fact_risk_scenarios WHERE measure = ? AND level = ? "
            "ORDER BY created_at DESC LIMIT 1",
            (measure, level),
        )[0]


@pytest.mark.parametrize("visit", [WIDE, PHONE], indirect=True, ids=["1440", "390"])
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_without_a_complaint_and_without_scrolling_sideways(
    visit: Visit, name: str, theme: str
) -> None:
    visit.go(PAGES[name], theme)
    if name != "about":
        visit.settled()
    if name == "what-if":
        visit.page.wait_for_selector("#simulation table", timeout=60_000)
    width = visit.page.viewport_size["width"]
    visit.shot(f"{name}-{theme}-{width}")

    assert visit.page.evaluate("document.documentElement.dataset.bsTheme") == theme
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert "Sample" in visit.text("#status")


def test_the_overview_shows_the_figures_of_fact_risk_scenarios(visit: Visit, warehouse: Path) -> None:
    visit.go("/")
    lar, tail = stored(warehouse, "lar_repaid"), stored(warehouse, "es_deficit")

    assert visit.text("#kpi-lar").startswith(fmt.money(lar[0]))
    assert visit.text("#kpi-tail").startswith(fmt.money(tail[0]))
    assert fmt.money(lar[0]) in visit.text(".verdict")
    assert fmt.money(stored(warehouse, "lar_seized")[0]) in visit.text(".strip")
    with urllib.request.urlopen(f"{visit.url}/api/v1/summary") as answer:
        figures = {(m["measure"], m["level"]): m["value"] for m in json.load(answer)["run"]["measures"]}
    assert figures["lar_repaid", 0.99] == lar[0]


def test_another_level_shows_its_own_shares_or_says_that_there_are_too_few(visit: Visit, warehouse: Path) -> None:
    visit.go("/risk")
    visit.settled()
    group = visit.page.get_by_role("group", name="Level")
    group.get_by_text("95", exact=False).first.click()
    lar = stored(warehouse, "lar_repaid", 0.95)
    visit.until(f"document.querySelector('#risk-shares').innerText.includes('{fmt.money(lar[0])}')")
    assert visit.page.locator("#risk-shares .cut").count() >= 4
    group.get_by_text("99.9").click()
    visit.until("document.querySelector('#risk-shares').innerText.includes('30 are needed')")
    assert visit.page.locator("#risk-shares .cut").count() == 0
    visit.page.wait_for_selector("#risk-nearest a", timeout=60_000)


def test_a_key_on_a_slider_changes_figure_chart_field_and_link(visit: Visit) -> None:
    visit.go("/what-if?eth=0")
    visit.settled()
    visit.until("document.querySelector('#cmp-repaid')?.innerText === '$0'")
    curve = visit.page.locator("#sweep .shapelayer path").first.get_attribute("d")

    handle = visit.page.locator(".panel [role=slider]").first
    handle.focus()
    for _ in range(4):
        handle.press("PageDown")

    # Four times ten steps of 1 %.
    visit.until("location.search.includes('eth=-40')")
    assert visit.text("#cmp-repaid") not in ("$0", "< $1")
    assert visit.page.get_by_label("ETH", exact=True).input_value() == "-40"
    assert visit.page.locator("#sweep .shapelayer path").first.get_attribute("d") != curve
    assert "chg" in (visit.page.locator(".panel .sl").first.get_attribute("class") or "")
    assert visit.page.locator("#accounts tbody tr").count() > 0


def test_it_opens_on_a_case_that_tells_something(visit: Visit) -> None:
    visit.go("/what-if")
    visit.settled()
    visit.until("location.search === '?eth=-20'")
    visit.until("!['$0', '< $1'].includes(document.querySelector('#cmp-repaid')?.innerText)")
    assert visit.text(".chip.on").startswith("ETH −20")


def test_dragging_the_handle_answers(visit: Visit) -> None:
    visit.go("/what-if?eth=0")
    visit.settled()
    box = visit.page.locator(".panel [role=slider]").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    visit.page.mouse.move(x, y)
    visit.page.mouse.down()
    visit.page.mouse.move(x - 90, y, steps=12)
    visit.page.mouse.up()

    visit.until("document.querySelector('#cmp-accounts').innerText !== '0'")
    # Moves come faster than questions are asked; the last one must be among the answered.
    rest = visit.page.locator(".panel input").first.input_value()
    visit.until(f"new URLSearchParams(location.search).get('eth') === '{rest}'")


def test_a_link_opens_its_scenario_and_reset_clears_it(visit: Visit) -> None:
    visit.go("/what-if?eth=-25")
    visit.settled()
    visit.until("document.querySelector('#cmp-accounts')?.innerText > '0'")
    assert visit.page.locator(".panel input").first.input_value() == "-25"

    visit.page.click("#reset-all")

    visit.until("document.querySelector('#cmp-repaid').innerText === '$0'")
    visit.until("location.search === '?eth=0'")  # a link without drivers would open with those of the page
    assert visit.text(".chip.on") == "Baseline"


def test_a_chip_sets_every_driver_of_its_scenario(visit: Visit) -> None:
    visit.go("/what-if")
    visit.settled()
    visit.page.get_by_role("button", name="All crypto").click()
    visit.until("location.search.includes('other=-30')")

    assert {"eth=-30", "btc=-30", "other=-30"} <= set(visit.page.url.split("?")[1].split("&"))
    visit.until("document.querySelector('.chip.on')?.innerText.startsWith('All crypto')")


def test_the_nearest_move_sets_the_sliders(visit: Visit) -> None:
    visit.go("/what-if")
    visit.settled()
    visit.until("document.querySelector('#reverse-set:not([disabled])')")
    visit.page.click("#reverse-set")

    visit.until("/eth=-\\d+/.test(location.search)")
    visit.until("document.querySelector('#cmp-repaid').innerText !== '$0'")


def test_a_parameter_is_changed_and_who_falls_is_said(visit: Visit) -> None:
    visit.go("/what-if?eth=0")
    visit.settled()
    visit.until("document.querySelector('#terms-says')?.innerText.includes('liquidatable')")
    before = visit.text("#terms-says")
    field = visit.page.locator("#terms-value")
    field.fill("70")
    field.press("Enter")
    visit.until(f"document.querySelector('#terms-says').innerText !== {json.dumps(before)}")
    assert "to 70.00" in visit.text("#terms-says")


def test_a_parameter_becomes_a_driver_and_is_saved_compared_and_taken_back(visit: Visit) -> None:
    """Under the slider's price, in the link, in the simulation; as one of two scenarios; cleared by each way out."""
    visit.go("/what-if?eth=-10")
    visit.settled()
    visit.until("document.querySelector('#cmp-accounts') !== null")
    before = visit.text("#cmp-repaid")
    field = visit.page.locator("#terms-value")
    field.fill("78")
    field.press("Enter")
    visit.until("document.querySelector('#terms-says').innerText.includes('to 78.00')")
    visit.page.click("#terms-use")

    link = "?eth=-10&set=WETH.liquidation_threshold:0.78,WETH.ltv:0.78"
    visit.until(f"location.search === '{link}'")
    visit.until(f"document.querySelector('#cmp-repaid').innerText !== {json.dumps(before)}")
    assert "with WETH threshold 78" in visit.text(".verdict")
    assert "WETH threshold 78" in visit.text(".panel .sum.chg >> nth=-1")
    visit.until("document.querySelector('#then-note').innerText.startsWith('10,000 paths')")
    assert "LaR 99" in visit.text("#simulation table")
    visit.shot("what-if-governance")
    visit.page.fill("#save-name", "Vote")
    visit.page.click("#save")
    visit.until("document.querySelector('.chip.own.on')?.innerText.startsWith('Vote')")

    visit.page.click("#hold")
    visit.page.locator(".accordion-button", has_text="Governance").click()
    visit.page.get_by_role("button", name="Take back the change of WETH").click()
    held = "held=eth:-10,WETH.liquidation_threshold:0.78,WETH.ltv:0.78"
    visit.until(f"location.search === '?eth=-10&{held}'")
    visit.until(f"document.querySelector('#cmp-repaid').innerText === {json.dumps(before)}")
    visit.page.click("#swap")
    visit.until(f"location.search === '{link}&held=eth:-10'")
    visit.page.click("#stop-comparing")
    visit.until(f"location.search === '{link}'")

    visit.page.locator(".chip", has_text="ETH −20").click()
    visit.until("location.search === '?eth=-20'")
    visit.page.get_by_role("button", name="Vote", exact=True).click()
    visit.until(f"location.search === '{link}'")
    visit.page.click("#reset-all")
    visit.until("location.search === '?eth=0'")
    visit.until("document.querySelector('#terms-list .term') === null")


def test_a_link_with_a_parameter_opens_and_a_bad_one_says_why(visit: Visit) -> None:
    visit.go("/what-if?set=emode:1.liquidation_threshold:0.9,emode:1.ltv:0.85")
    visit.settled()
    visit.until("document.querySelector('.verdict').innerText.includes('e-mode 1 threshold 90')")
    assert visit.page.locator("#terms-list .term").count() == 1
    visit.page.locator(".accordion-button", has_text="Governance").click()
    visit.page.locator("#terms-list a").click()
    visit.until("location.hash === '#terms-card'")
    assert visit.page.locator("#terms-list .term").count() == 1

    visit.go("/what-if?eth=-10&set=NIX.ltv:0.5")
    visit.settled()
    assert "no reserve 'NIX' in this market. No parameter is changed." in visit.text(".banner >> nth=0")
    visit.until("location.search === '?eth=-10'")


@pytest.mark.parametrize("visit", [(390, 844)], indirect=True)
def test_a_payload_is_pasted_on_a_phone(visit: Visit) -> None:
    visit.go("/what-if?eth=0")
    visit.settled()
    visit.page.locator("summary").click()
    visit.page.fill("#terms-payload", "nonsense")
    visit.page.click("#terms-read")
    visit.until("document.querySelector('#terms-read-says').innerText.startsWith('Not used: the payload')")
    terms = f"{1:064x}{8500:064x}{9000:064x}{10200:064x}{160:064x}{0:064x}"
    visit.page.fill("#terms-payload", json.dumps({"to": "0x" + "c0" * 20, "data": "0x34a461ea" + terms}))
    visit.page.click("#terms-read")
    visit.until("location.search.includes('emode:1.liquidation_threshold:0.9')")
    assert visit.text("#terms-read-says").startswith("1 call read, 3 changed parameters.")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_number_out_of_range_keeps_the_old_one_and_says_why(visit: Visit) -> None:
    visit.go("/what-if?eth=-10")
    visit.settled()
    field = visit.page.get_by_label("ETH", exact=True)
    field.fill("-95")
    field.press("Enter")

    visit.until("document.querySelector('.panel .no').innerText.startsWith('Allowed: -60 to 20')")
    assert field.input_value() == "-10"


def test_the_simulation_follows_once_the_handle_rests(visit: Visit) -> None:
    visit.go("/what-if?eth=-15")
    visit.page.wait_for_selector("#simulation table", timeout=60_000)

    assert "LaR 99" in visit.text("#simulation table")
    assert "10,000 paths" in visit.text("#simulation-note")


def test_the_distribution_follows_the_handle_and_sharpens(visit: Visit) -> None:
    """The first paths answer while the handle is held; all of them are in once it rests."""
    visit.go("/what-if?eth=-5")
    visit.settled()
    visit.until("document.querySelector('#then-note').innerText.startsWith('10,000 paths')")
    calm = visit.page.locator("#then .annotation-text").nth(1).text_content()
    handle = visit.page.locator(".panel [role=slider]").first
    handle.focus()
    handle.press("PageDown")
    visit.until("location.search.includes('eth=-15')")
    visit.until("document.querySelector('#then-note').innerText.startsWith('10,000 paths')")
    visit.until(f"document.querySelectorAll('#then .annotation-text')[1].textContent !== {calm!r}")
    assert "Within 24" in visit.text("#then-says")
    assert visit.page.locator("#then-box.slow").count() == 0


def test_two_scenarios_are_compared_and_one_is_saved(visit: Visit) -> None:
    visit.go("/what-if?eth=-10")
    visit.settled()
    visit.until("document.querySelector('#cmp-repaid') !== null")
    visit.page.fill("#save-name", "eth20")  # the key of a preset
    visit.page.click("#save")
    visit.until("document.querySelector('.chip.own.on')?.innerText.startsWith('eth20')")
    visit.page.get_by_role("button", name="Forget eth20").click()
    visit.page.fill("#save-name", "Mild")
    visit.page.click("#save")
    visit.until("document.querySelector('.chip.own.on')?.innerText.startsWith('Mild')")

    visit.page.click("#hold")
    visit.page.locator(".chip", has_text="ETH −20").click()
    visit.until("location.search === '?eth=-20&held=eth:-10'")
    visit.until("document.querySelector('.cmp .bl').innerText.startsWith('A ')")
    visit.page.click("#swap")
    visit.until("location.search === '?eth=-10&held=eth:-20'")
    visit.page.click("#stop-comparing")
    visit.until("location.search === '?eth=-10'")

    visit.page.locator(".chip", has_text="ETH −20").click()
    visit.until("location.search === '?eth=-20'")
    visit.page.get_by_role("button", name="Mild", exact=True).click()
    visit.until("location.search === '?eth=-10'")
    visit.page.get_by_role("button", name="Forget Mild").click()
    visit.until("document.querySelector('.chip.own') === null")


def test_the_theme_switch_recolours_the_charts_and_is_remembered(visit: Visit) -> None:
    visit.go("/")
    visit.settled()
    line = "document.querySelector('#overview-fan .scatterlayer .js-line').style.stroke"
    before = visit.page.evaluate(line)
    visit.page.click("#theme-button")

    visit.until(f"{line} !== {before!r}")
    visit.page.goto(visit.url)
    visit.page.wait_for_selector("#page .page")
    assert visit.page.evaluate("document.documentElement.dataset.bsTheme") == "light"


def test_pages_are_reached_by_the_navigation_without_a_reload(visit: Visit) -> None:
    visit.go("/")
    visit.page.evaluate("window.stayed = true")
    visit.page.click(".side a[href='/what-if']")
    visit.page.wait_for_selector("#compare")

    assert visit.page.evaluate("window.stayed") is True
    assert visit.text("#title") == "What-if"


@pytest.mark.parametrize("visit", [PHONE], indirect=True, ids=["390"])
def test_a_phone_has_its_bar_at_the_bottom_and_the_answer_in_sight(visit: Visit) -> None:
    visit.go("/what-if?eth=-20")
    visit.settled()
    assert visit.page.locator(".bottom").is_visible()
    assert not visit.page.locator(".side").is_visible()
    assert visit.page.locator(".pinned").is_visible()


def test_the_policy_lets_no_inline_script_and_no_eval_run(visit: Visit) -> None:
    """The pages work under it (every other test here), and what a foreign script would do is refused."""
    visit.go("/")
    visit.settled()
    visit.page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.stolen = 1';"
        " document.body.append(s); }"
    )
    assert visit.page.evaluate("window.stolen") is None
    refused = [p for p in visit.problems if "Content Security Policy" in p]
    assert refused
    visit.problems[:] = [p for p in visit.problems if p not in refused]


def test_the_table_of_health_factors_is_beside_its_chart(visit: Visit) -> None:
    visit.go("/")
    visit.settled()
    visit.page.get_by_role("tab", name="Table").click()
    visit.page.get_by_text("Health factor from").wait_for()
    assert visit.page.locator(".scrolly tbody tr").count() == 16


def test_the_meaning_of_a_figure_is_told_on_focus(visit: Visit) -> None:
    visit.go("/")
    visit.page.locator("#kpi-lar-label").focus()
    visit.page.get_by_role("tooltip").get_by_text("one path in a hundred").wait_for()


def test_a_group_of_drivers_folds_and_keeps_its_values(visit: Visit) -> None:
    visit.go("/what-if?vol=1.5")
    visit.settled()
    group = visit.page.locator(".panel .accordion-item", has_text="Volatility")
    visit.until("document.querySelector('.panel .sum.chg')?.innerText.includes('1.5')")
    assert "vol=1.5" in visit.page.url
    assert group.locator(".collapse.show").count() == 0
    group.get_by_role("button").first.click()
    visit.page.get_by_label("Volatility", exact=True).wait_for()
    group.get_by_role("button").first.click()
    visit.until("document.querySelectorAll('.panel .collapse.show').length === 1")
    assert "vol=1.5" in visit.page.url


@pytest.mark.parametrize("visit", [PHONE], indirect=True, ids=["390"])
def test_the_menu_of_a_phone_opens_and_closes_when_a_page_is_chosen(visit: Visit) -> None:
    visit.go("/")
    visit.page.click("#menu-button")
    panel = visit.page.locator(".offcanvas.show")
    panel.wait_for()
    assert "Pool revision" in panel.inner_text()
    panel.get_by_text("What-if").click()
    visit.page.wait_for_selector("#compare")
    panel.wait_for(state="hidden")


def test_a_shared_link_is_confirmed(visit: Visit) -> None:
    visit.go("/what-if?eth=-10")
    visit.page.click("#share")
    visit.page.locator("#copied").get_by_text("link").first.wait_for()


def test_a_sort_shows_the_other_end_and_a_column_filter_asks_while_it_is_typed(visit: Visit) -> None:
    visit.go("/accounts")
    top = visit.page.locator('.accounts-grid .ag-row[row-index="0"] [col-id="debt"]')
    top.wait_for()
    header = visit.page.locator('.accounts-grid .ag-header-cell[col-id="debt"]')
    header.locator(".ag-header-cell-text").click()
    visit.until("document.querySelector('.accounts-grid .ag-row[row-index=\"0\"] [col-id=debt]')?.innerText === '$0'")
    header.locator(".ag-header-cell-text").click()
    visit.until("/M$/.test(document.querySelector('.accounts-grid .ag-row[row-index=\"0\"] [col-id=debt]')?.innerText)")
    visit.page.locator('.accounts-grid .ag-header-cell[col-id="main"] .ag-header-cell-filter-button').click()
    box = visit.page.locator(".ag-filter input.ag-input-field-input").first
    box.click()  # the grid puts the cursor into a field of its own when the filter opens
    box.press_sequentially("wsteth", delay=5)
    visit.until("/^[\\d,]+ of 3,000$/.test(document.querySelector('#accounts-found').innerText)")
    visit.until(
        "(rows => rows.length > 5 && rows.every(row => row.innerText === 'wstETH'))"
        "([...document.querySelectorAll('.accounts-grid .ag-row [col-id=main]')])"
    )


@pytest.mark.parametrize("visit", [WIDE, PHONE], indirect=True, ids=["1440", "390"])
def test_accounts_are_searched_on_the_server_and_a_click_opens_one(visit: Visit) -> None:
    """The grid's rows come one block at a time; its scripts are ours alone, or the console would complain."""
    visit.go("/accounts")
    link = visit.page.locator('.accounts-grid .ag-row[row-index="0"] a')
    link.wait_for()
    wanted = link.get_attribute("title")
    visit.page.fill("#accounts-search", wanted[-12:])
    visit.until("document.querySelector('#accounts-found').innerText.startsWith('1 of')")
    visit.until("document.querySelectorAll('.accounts-grid .ag-row a').length === 1")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= visit.page.viewport_size["width"]
    # Keys in a row, faster than they are asked for: the last one counts. Without a word everybody is there again.
    visit.page.fill("#accounts-search", "")
    visit.until("document.querySelector('#accounts-found').innerText === '3,000 of 3,000'")
    visit.page.evaluate(
        """async (words) => {
          const box = document.querySelector('#accounts-search');
          const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
          for (const word of words) {
            set.call(box, word);
            box.dispatchEvent(new Event('input', { bubbles: true }));
            await new Promise((done) => setTimeout(done, 15));
          }
        }""",
        ["zz", "zzz", wanted[-12:]],
    )
    visit.until("document.querySelector('#accounts-found').innerText.startsWith('1 of')")
    link.wait_for()
    assert link.get_attribute("title") == wanted
    cell = visit.page.locator('.accounts-grid .ag-row[row-index="0"] [col-id="debt"]')
    assert cell.evaluate("cell => getComputedStyle(cell).userSelect") == "text"
    link.click()
    visit.page.wait_for_selector(".crumb")
    assert wanted in visit.text(".crumb")
    assert "At which price?" in visit.text("#page")
