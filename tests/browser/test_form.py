"""The form that tries a version, source by source, and what it makes of what it is given."""

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper
from playwright.sync_api import Browser, FilePayload, Page, expect

from gateway.client import Client
from tests.browser.browsing import copy_by, find_obstacles, reading, running_browser
from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway

LARGE = 2**53 + 1
TIMES = "\N{MULTIPLICATION SIGN}"
PICTURE = """
async () => {
  const canvas = new OffscreenCanvas(4, 2);
  const drawing = canvas.getContext("2d");
  drawing.fillStyle = "rgb(255, 0, 51)";
  drawing.fillRect(0, 0, 4, 2);
  const blob = await canvas.convertToBlob({type: "image/png"});
  return Array.from(new Uint8Array(await blob.arrayBuffer()));
}
"""
STRANGE = """it's "x" \\n `id` </script><img src=x onerror=alert(1)> {{ 1 }} é漢"""
HOLD_FILES = """
() => {
  const read = File.prototype.arrayBuffer;
  const released = new Promise((resolve) => { window.release = resolve; });
  File.prototype.arrayBuffer = async function () { await released; return read.call(this); };
}
"""


def strange() -> ModelProto:
    """Float32 of a name that is hard to quote, and ``__proto__``, both [n] -> their sum."""
    names = [STRANGE, "__proto__"]
    return models.model(
        [helper.make_node("Add", names, ["y"])], [models.value(name) for name in names], [models.value("y")]
    )


def with_columns(model: ModelProto, names: list[str]) -> ModelProto:
    """The model, knowing what its columns are called, as one that was registered with its estimator does."""
    entry = model.metadata_props.add()
    entry.key, entry.value = "sardonyx.columns", json.dumps(names)
    return model


def columns() -> ModelProto:
    """Float32 age [n, 1] and string city [n] -> both as they are: a pipeline with an input for each column."""
    age, city = ("age", "float32", ("n", 1)), ("city", "string", ("n",))
    return models.model(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _, _ in (age, city)],
        [models.value(*spec) for spec in (age, city)],
        [models.value(f"{name}_out", dtype, shape) for name, dtype, shape in (age, city)],
    )


REGISTERED = {
    "strange": strange(),
    "linear": models.linear(),
    "whole": models.identity("int64", ("n",)),
    "words": models.string_twice(),
    "picture": models.identity("float32", ("n", 3, 2, 2)),
    "optional": models.optional_bias(),
    "two": models.two_inputs_one_symbol(),
    "any-rank": models.identity("float64", None),
    "unnamed": models.identity("float32", (None, "m")),
    "truth": models.identity("bool", ("n", 2)),
    "scores": models.identity("float32", ("n", 8)),
    "long": models.identity("float32", ("n", 30_000)),
    "named": with_columns(models.identity("float32", ("n", 2)), ["height", "width"]),
    "named-words": with_columns(models.identity("string", ("n", 2)), ["colour", "size"]),
    "columns": columns(),
}


@pytest.fixture(scope="module")
def gateway(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:  # noqa: ARG001 - without one, none is started
    with running_gateway(tmp_path_factory.mktemp("form") / "data") as running:
        with Client(running.url) as client:
            for name, model in REGISTERED.items():
                client.register(model.SerializeToString(), name=name)
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def page(browser: Browser, gateway: GatewayProcess) -> Iterator[Page]:
    with reading(browser, gateway.url, "dark") as opened:
        yield opened


def opened(page: Page, name: str) -> Page:
    page.goto(f"/console/models/{name}/versions/1#try")
    return page


def predict(page: Page) -> dict[str, Any]:
    """Send the form and return what was sent; the answer is on the page then."""
    with page.expect_request("**/predict") as sent:
        page.get_by_role("button", name="Predict").click()
    expect(page.locator("#try-result .outcome")).to_be_visible()
    request = sent.value
    assert request.headers["x-sardonyx-console"] == "1"
    return {"type": request.headers["content-type"], "body": request.post_data_buffer}


def saved(array: Any) -> FilePayload:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return {"name": "x.npy", "mimeType": "application/octet-stream", "buffer": file.getvalue()}


def answered(page: Page, *cells: str) -> None:
    expect(page.locator("#try-result")).to_contain_text("Status 200")
    expect(page.locator("#try-result tbody td")).to_have_text(list(cells))


@pytest.mark.parametrize("name", REGISTERED)
def test_every_signature_has_a_random_input_that_it_takes(page: Page, name: str) -> None:
    opened(page, name).get_by_role("button", name="Fill in a random input").click()
    predict(page)
    expect(page.locator("#try-result")).to_contain_text("Status 200")


def test_names_are_text_wherever_they_stand_and_much_goes_under_any_name(page: Page) -> None:
    opened(page, "strange")
    assert page.locator("#input-0 legend code").inner_text() == STRANGE
    page.get_by_label("batch =").fill("15000")
    page.get_by_role("button", name="Fill in a random input").click()
    assert predict(page)["type"] == "application/vnd.safetensors"
    expect(page.locator("#try-result")).to_contain_text("Status 200")
    page.locator("#input-0-json-text").fill('["much"]')
    page.locator("#input-1-json-text").fill('["more"]')
    predict(page)
    expect(page.locator("#input-0-faults")).to_contain_text("at [0]: expected ")
    expect(page.locator("#input-1-faults")).to_contain_text("at [0]: expected ")
    assert page.locator("main img").count() == 0


def test_free_dimensions_have_the_sizes_that_are_said_whether_they_have_names_or_not(page: Page) -> None:
    opened(page, "unnamed").get_by_label("x[0] =").fill("2")
    page.get_by_label("m =").fill("3")
    page.get_by_role("button", name="Fill in a random input").click()
    assert np.array(json.loads(predict(page)["body"])["inputs"]["x"]).shape == (2, 3)
    page.get_by_label("x[0] =").fill("65536")
    page.get_by_label("m =").fill("65536")
    page.get_by_role("button", name="Fill in a random input").click()
    expect(page.locator("#try-result")).to_contain_text("too much to be made up here")


def test_whole_numbers_keep_every_digit_both_ways(page: Page) -> None:
    opened(page, "whole").get_by_label("CSV").check()
    page.get_by_label("x as rows of cells").fill(f"{LARGE}\n-1\n")
    assert json.loads(predict(page)["body"]) == {"inputs": {"x": [LARGE, -1]}}
    answered(page, str(LARGE), "-1")


def paste(page: Page, rows: str, *, what: str = "x") -> None:
    page.get_by_label("CSV").check()
    page.get_by_label(f"{what} as rows of cells").fill(rows)


def test_columns_are_taken_by_their_names_where_the_model_knows_them(page: Page) -> None:
    paste(opened(page, "named"), "width,height\n1,2\n3,4\n")
    expect(page.get_by_label("the first row names the columns")).to_be_checked()
    expect(page.get_by_text("The columns are taken by their names.")).to_be_visible()
    assert find_obstacles(page) == []
    assert json.loads(predict(page)["body"]) == {"inputs": {"x": [[2, 1], [4, 3]]}}
    answered(page, "2", "1", "4", "3")
    paste(page, "1,2\n")
    expect(page.get_by_text("The columns are taken to be, in this order: height, width.")).to_be_visible()


def test_a_table_that_lacks_a_column_is_refused_by_its_name(page: Page) -> None:
    paste(opened(page, "named"), "width,depth\n1,2\n")
    page.get_by_role("button", name="Predict").click()
    said = "row 1: the table lacks height, and has besides depth; the model takes the columns height, width"
    expect(page.locator("#input-0-faults")).to_have_text(said)
    expect(page.locator("#try-result")).to_have_text("Nothing was sent: see what is marked.")


def test_a_first_row_of_names_is_left_out_of_words_and_of_truth_as_well(page: Page) -> None:
    paste(opened(page, "named-words"), "size,colour\nbig,red\n")
    assert json.loads(predict(page)["body"]) == {"inputs": {"x": [["red", "big"]]}}
    paste(opened(page, "truth"), "is_new,is_old\ntrue,0\n")
    assert json.loads(predict(page)["body"]) == {"inputs": {"x": [[True, False]]}}
    paste(opened(page, "words"), "title\na\n", what="")
    page.get_by_label("the first row names the columns").check()
    expect(page.get_by_text("The model does not say what its columns are called")).to_be_visible()
    predict(page)
    expect(page.locator("#try-result tbody tr")).to_have_count(1)


def test_one_table_fills_in_a_pipeline_with_an_input_for_each_column(page: Page) -> None:
    opened(page, "columns").get_by_text("Paste one table for all inputs").click()
    table, fill = page.get_by_label("A table with a column for each input"), page.get_by_role("button", name="Fill in")
    table.fill("city,years\nParis,3\n")
    fill.filter(has_text="table").click()
    said = "row 1: the table lacks age, and has besides years; the model takes the columns age, city"
    expect(page.locator("#try-table-faults")).to_have_text(said)
    assert find_obstacles(page) == []
    table.fill("city;age\nParis;3\nRome;4.5\n")
    fill.filter(has_text="table").click()
    expect(page.locator("#try-table-faults")).to_be_hidden()
    assert json.loads(predict(page)["body"]) == {"inputs": {"age": [[3], [4.5]], "city": ["Paris", "Rome"]}}


@pytest.mark.parametrize(
    ("array", "cells"),
    [
        (np.array([[1.5, -2.0], [0.25, 3.0]], ">f4"), ["1.5", "-2", "0.25", "3"]),
        (np.asfortranarray(np.array([[1, 2], [3, 4]], np.float16)), ["1", "2", "3", "4"]),
        (np.array([[7, 8]], np.int32), ["7", "8"]),
    ],
    ids=["big-endian", "column by column, of half precision", "whole numbers"],
)
def test_a_numpy_file_is_read_in_the_page(page: Page, array: Any, cells: list[str]) -> None:
    opened(page, "any-rank").get_by_label(".npy file", exact=True).check()
    page.get_by_label("x as a .npy file").set_input_files(saved(array))
    predict(page)
    answered(page, *cells)


def test_a_file_of_another_kind_or_shape_is_refused_beside_its_field(page: Page) -> None:
    opened(page, "linear").get_by_label(".npy file", exact=True).check()
    file, faults = page.get_by_label("x as a .npy file"), page.locator("#input-0-faults")
    file.set_input_files({"name": "x.npy", "mimeType": "text/plain", "buffer": b"not an array at all"})
    expect(faults).to_have_text("this is no .npy file: write one with numpy.save")
    file.set_input_files(saved(np.zeros((2, 5), np.float32)))
    page.get_by_role("button", name="Predict").click()
    expect(faults).to_have_text("expected [batch, 4], received [2, 5]")
    assert find_obstacles(page) == []


def test_what_would_become_infinite_or_nan_is_refused_before_anything_is_sent(page: Page) -> None:
    opened(page, "picture").get_by_label("CSV").check()
    page.get_by_label("x as rows of cells").fill("1,2,3,4,5,6,7,8,9,10,11,1e39")
    page.get_by_role("button", name="Predict").click()
    expected = "row 1, column 12: expected a number that float32 can hold, received 1e+39"
    expect(page.locator("#input-0-faults")).to_have_text(expected)
    page.get_by_label("x as rows of cells").fill("1,2,3,4,5,6,7,8,9,10,11,constructor")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#input-0-faults")).to_contain_text("expected a number, received “constructor”")


def test_words_go_as_they_are(page: Page) -> None:
    opened(page, "words").get_by_label("CSV").check()
    page.get_by_label(" as rows of cells").fill('"a, ""b"""\n<b>')
    predict(page)
    expect(page.locator("#try-result tbody td").first).to_contain_text('a, "b"')
    assert page.locator("#try-result b").count() == 0


def test_a_picture_is_resized_normalised_and_laid_out_as_is_shown(page: Page) -> None:
    octets = bytes(opened(page, "picture").evaluate(PICTURE))
    page.get_by_label("Image", exact=True).check()
    page.get_by_label("1. A picture").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": octets})
    says = page.get_by_text("channels first")
    expect(says).to_have_text(f"4 {TIMES} 2 pixels → float32 [1, 3, 2, 2], channels first, from 0 to 1")
    page.get_by_label("4. Values").select_option("signed")
    page.get_by_label("3. Channels").select_option("bgr")
    expect(says).to_have_text(f"4 {TIMES} 2 pixels → float32 [1, 3, 2, 2], channels first, from -1 to 1")
    assert find_obstacles(page) == []
    sent = json.loads(predict(page)["body"])["inputs"]["x"]
    assert np.array(sent).shape == (1, 3, 2, 2)
    assert [channel[0][0] for channel in sent[0]] == pytest.approx([-0.6, -1.0, 1.0])
    page.get_by_label("over the deviation").fill("0")
    page.get_by_label("over the deviation").blur()
    expect(page.locator("#input-0-faults")).to_have_text("expected numbers other than 0, parted by commas")


def test_a_picture_and_a_file_are_there_again_after_a_look_at_another_source(page: Page) -> None:
    opened(page, "picture").reload()
    octets = bytes(page.evaluate(PICTURE))
    image, json_, npy = (page.get_by_label(name, exact=True) for name in ("Image", "JSON", ".npy file"))
    image.check()
    page.get_by_label("1. A picture").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": octets})
    expect(page.get_by_text("channels first")).to_be_visible()
    npy.check()
    page.get_by_label("x as a .npy file").set_input_files(saved(np.ones((2, 3, 2, 2), np.float32)))
    expect(page.get_by_text("24 elements, float32 [2, 3, 2, 2]")).to_be_visible()
    json_.check()
    image.check()
    assert np.array(json.loads(predict(page)["body"])["inputs"]["x"]).shape == (1, 3, 2, 2)
    npy.check()
    expect(page.get_by_text("24 elements, float32 [2, 3, 2, 2]")).to_be_visible()
    assert np.array(json.loads(predict(page)["body"])["inputs"]["x"]).shape == (2, 3, 2, 2)


def test_a_file_that_is_read_late_is_never_sent_in_place_of_what_is_typed(page: Page) -> None:
    opened(page, "any-rank").evaluate(HOLD_FILES)
    page.get_by_label(".npy file", exact=True).check()
    page.get_by_label("x as a .npy file").set_input_files(saved(np.array([1.0])))
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#input-0-faults")).to_have_text("the file is still being read: try again")
    page.get_by_label("JSON", exact=True).check()
    page.get_by_label("x in JSON").fill("[2.5]")
    page.evaluate("window.release()")
    assert json.loads(predict(page)["body"]) == {"inputs": {"x": [2.5]}}
    page.get_by_label(".npy file", exact=True).check()
    assert json.loads(predict(page)["body"]) == {"inputs": {"x": [1.0]}}


def test_what_may_be_left_out_is_unless_it_is_given(page: Page) -> None:
    opened(page, "optional").get_by_label("x in JSON").fill("[1]")
    assert json.loads(predict(page)["body"]) == {"inputs": {"x": [1]}}
    page.get_by_label("leave it out").uncheck()
    page.get_by_label("bias in JSON").fill("[41]")
    predict(page)
    answered(page, "42")


def test_sizes_of_one_name_must_agree_before_anything_is_sent(page: Page) -> None:
    opened(page, "two")
    for place, rows in enumerate(("1\n2\n", "1\n2\n3\n")):
        page.locator(f"#input-{place}-csv").check()
        page.locator(f"#input-{place}-csv-text").fill(rows)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#input-1-faults")).to_have_text("expected n = 2, as in another input, received 3")
    expect(page.locator("#try-result")).to_have_text("Nothing was sent: see what is marked.")


def test_programs_are_tabs_by_keyboard_and_copied_where_browsers_give_no_clipboard(page: Page) -> None:
    opened(page, "linear").evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.evaluate("document.addEventListener('copy', () => { window.copied = String(document.activeElement.value); })")
    page.get_by_role("tab", name="curl").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Python", exact=True)).to_be_focused()
    panel = page.get_by_role("tabpanel")
    copy_by(page, panel.get_by_role("button", name="Copy"))
    assert page.evaluate("window.copied") == panel.locator("code").inner_text()
    page.keyboard.press("Tab")
    assert find_obstacles(page) == []


def test_much_is_sent_as_bytes_and_scores_have_a_best_five(page: Page) -> None:
    opened(page, "long").get_by_role("button", name="Fill in a random input").click()
    sent = predict(page)
    assert (sent["type"], len(sent["body"]) > 30_000 * 4) == ("application/vnd.safetensors", True)
    expect(page.locator("#try-result .best li")).to_have_count(5)
    opened(page, "scores").get_by_label("x in JSON").fill("[[0, 0.1, 0.9, 0, 0.2, 0, 0.3, 0.4]]")
    predict(page)
    best = [text.split()[1] for text in page.locator("#try-result .best li").all_inner_texts()]
    assert best == ["2", "7", "6", "4", "1"]
