"""Documents from outside: what is refused, and that the sentence never repeats what was in them."""

import pytest

from core.errors import UnusableInput
from schemas.reader import MAX_BYTES, MAX_DEPTH, read_document


def read(text):
    return read_document(text.encode() if isinstance(text, str) else text, "the contract")


BILLION_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8)
)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(BILLION_LAUGHS, id="alias bomb"),
        pytest.param("a: &a [1, *a]", id="alias to itself"),
        pytest.param("a: *nowhere", id="alias to nothing"),
        pytest.param("a: !!python/object/apply:os.system ['SECRET']", id="object tag"),
        pytest.param("a: !!binary SECRET", id="binary tag"),
        pytest.param("a: !own SECRET", id="own tag"),
        pytest.param("a: SECRET\na: SECRET", id="duplicate key"),
        pytest.param("? [SECRET]\n: 1", id="key that is a list"),
        pytest.param("a: 1\n---\nb: SECRET", id="two documents"),
        pytest.param("[" * 10_000, id="deep flow"),
        pytest.param("a: " + "[" * 60 + "]" * 60, id="deep but closed"),
        pytest.param("".join(" " * n + "a:\n" for n in range(200)), id="deep block"),
        pytest.param('{"a": ' * 60 + "1" + "}" * 60, id="deep JSON"),
        pytest.param('{"a": ' * 100_000, id="very deep JSON"),
        pytest.param('{"a": 1, "a": "SECRET"}', id="duplicate key in JSON"),
        pytest.param('{"a": NaN}', id="NaN in JSON"),
        pytest.param("a: [SECRET", id="not closed"),
        pytest.param("a: 'SECRET\n\x00'", id="control character"),
        pytest.param(b"a: \xff\xfeSECRET", id="no UTF-8"),
        pytest.param("a: 1e999", id="infinite"),
        pytest.param("- SECRET", id="a list"),
        pytest.param("SECRET", id="a word"),
        pytest.param("", id="nothing"),
        pytest.param("[" + "1," * 300_000 + "1]", id="too many values"),
    ],
)
def test_unusable_document_is_refused_in_one_sentence_without_its_content(document):
    with pytest.raises(UnusableInput) as caught:
        read(document)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_fifty_megabytes_are_refused_before_they_are_parsed():
    with pytest.raises(UnusableInput, match="larger than"):
        read(b"a: " + b"x" * 50_000_000)
    assert MAX_BYTES < 50_000_000


def test_plain_scalars_follow_yaml_1_2_so_that_no_date_or_code_changes():
    document = read(
        "country: NO\nflag: no\nday: 2026-01-01\nclock: 1:30\ncode: '01'\nn: 7\nx: 1.5\nyes: on\nt: true\nz: null\ne:"
    )
    texts = {"country": "NO", "flag": "no", "day": "2026-01-01", "clock": "1:30", "code": "01", "yes": "on"}
    assert document == texts | {"n": 7, "x": 1.5, "t": True, "z": None, "e": None}


def test_quoted_scalars_and_str_tags_stay_text():
    assert read("a: '1'\nb: \"true\"\nc: !!str 1") == {"a": "1", "b": "true", "c": "1"}


def test_an_honest_alias_is_resolved():
    assert read("a: &x {n: 1}\nb: *x") == {"a": {"n": 1}, "b": {"n": 1}}


def test_depth_within_the_limit_is_accepted():
    assert read("a: " + "[" * (MAX_DEPTH - 2) + "]" * (MAX_DEPTH - 2))


def test_the_line_of_the_defect_is_named():
    with pytest.raises(UnusableInput, match=r"\(line 3\)"):
        read("a: 1\nb: 2\na: 3\n")


def test_json_is_read_too_even_with_tabs_that_yaml_refuses():
    assert read('{\n\t"a":\t[1]}') == {"a": [1]}


@pytest.mark.parametrize("value", ["1e999", "9" * 41, '"\\ud800"', '{"\\udc00": 1}', '["\\ud83d", "\\ude00"]'])
def test_json_that_could_not_be_signed_is_refused(value):
    with pytest.raises(UnusableInput, match="too large, or text that is no Unicode"):
        read('{"a": ' + value + "}")


def test_json_may_write_a_whole_pair():
    assert read('{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
