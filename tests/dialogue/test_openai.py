import json
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.engine import Line, Prompt
from dialogue.engines.openai import EventStream, OpenAIModel
from dialogue.plugins import EngineError, EngineUnavailable
from tests.fake_openai_server import Answer, FakeServer, event, reply

PROMPT = Prompt(
    (Line("system", "be brief"), Line("user", "hi")), 1, max_tokens=9, temperature=0.5, seed=4,
    grammar="root ::= x",
)  # fmt: skip


def engine(server: FakeServer, **options: object) -> OpenAIModel:
    return OpenAIModel(base_url=server.url, model="m", **options)  # type: ignore[arg-type]


def test_text_arrives_in_deltas_and_the_request_is_complete() -> None:
    with FakeServer(reply("Hel", "lo", " 你好")) as server:
        model = engine(server)
        assert list(model.reply(PROMPT)) == ["Hel", "lo", " 你好"]
        model.close()
    (request,) = server.requests
    assert request == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"},
        ],
        "stream": True, "max_tokens": 9, "temperature": 0.5, "seed": 4,
    }  # fmt: skip
    assert server.headers[0]["request"] == "POST /v1/chat/completions HTTP/1.1"
    assert "authorization" not in server.headers[0]


def test_only_allowed_fields_are_sent_and_extras_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-test")
    with FakeServer(reply("x")) as server:
        fields = ("model", "messages", "stream", "max_completion_tokens", "grammar")
        model = engine(server, api_key_env="MY_KEY", fields=fields, extra={"think": False})
        assert list(model.reply(PROMPT)) == ["x"]
        model.close()
    assert set(server.requests[0]) == {*fields, "think"}
    assert server.headers[0]["authorization"] == "Bearer sk-test"


def test_the_connection_serves_again_and_a_dead_one_is_replaced() -> None:
    with FakeServer(reply("a"), reply("b"), Answer(drop=True), reply("c")) as server:
        model = engine(server)
        model.warm(PROMPT)
        assert list(model.reply(PROMPT)) == ["a"]
        assert list(model.reply(PROMPT)) == ["b"]
        assert server.connections == 1
        assert list(model.reply(PROMPT)) == ["c"]
        assert server.connections == 2
        model.close()


def test_usage_is_read_where_it_is_asked_for() -> None:
    answer = Answer(
        [
            event("hi"),
            b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
            b'data: {"choices":[],"usage":{"completion_tokens":2}}\n\ndata: [DONE]\n\n',
        ]
    )
    with FakeServer(answer) as server:
        model = engine(server, fields=("model", "messages", "stream", "stream_options"))
        assert list(model.reply(PROMPT)) == ["hi"]
        model.close()
    assert model.usage == {"completion_tokens": 2}
    assert server.requests[0]["stream_options"] == {"include_usage": True}


def test_a_stream_without_done_ends_at_its_finish_reason() -> None:
    answer = Answer([event("hi"), b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'])
    with FakeServer(answer) as server:
        model = engine(server)
        assert list(model.reply(PROMPT)) == ["hi"]
        model.close()


def test_closing_the_generator_closes_the_connection() -> None:
    gate = threading.Event()
    answer = Answer([event("one"), *[event("x" * 4000)] * 2000], wait=gate)
    with FakeServer(answer) as server:
        model = engine(server)
        stream = model.reply(PROMPT)
        assert next(stream) == "one"
        stream.close()  # type: ignore[attr-defined]
        gate.set()
        assert server.client_left.wait(5)
        model.close()


@pytest.mark.parametrize(
    ("status", "headers", "body", "words", "wait"),
    [
        ("401 Unauthorized", {}, {"error": {"message": "Bad key"}},
         ["401 Bad key", "OPENAI_API_KEY"], None),
        ("404 Not Found", {}, {"error": "model not found"}, ["404 model not found", "'m'"], None),
        ("429 Too Many Requests", {"Retry-After": "7"}, {"error": {"message": "slow"}},
         ["429 slow", "7 s"], 7.0),
        ("429 Too Many Requests", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {},
         ["429", "later"], None),
        ("400 Bad Request", {}, {"error": {"message": "seed?"}}, ["400 seed?", "fields"], None),
        ("503 Service Unavailable", {}, None, ["503", "successor"], None),
    ],
)  # fmt: skip
def test_a_refusal_names_cause_and_remedy_in_one_line(
    status: str, headers: dict[str, str], body: object, words: list[str], wait: float | None
) -> None:
    raw = json.dumps(body).encode() if body is not None else b"<html>down</html>"
    with FakeServer(Answer([raw], status=status, headers=headers)) as server:
        model = engine(server)
        with pytest.raises(EngineError) as caught:
            list(model.reply(PROMPT))
        model.close()
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.retry_after_s == wait


def test_the_key_never_stands_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    answer = Answer([b'{"error":{"message":"wrong key sk-secret"}}'], status="401 No")
    with FakeServer(answer) as server:
        model = engine(server)
        with pytest.raises(EngineError) as caught:
            list(model.reply(PROMPT))
        model.close()
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer([event("Hel")], cut=True), "broke off"),
        (Answer([event("Hel")]), "broke off before its end"),
        (Answer([event("Hel"), b'data: {"error":{"message":"boom"}}\n\n']), "boom"),
        (Answer([event("Hel"), b"data: {oops\n\n"]), "not JSON"),
        (Answer([event("Hel"), b"data: 3\n\n"]), "not an object"),
    ],
)
def test_a_stream_that_dies_yields_what_came_and_then_fails(answer: Answer, words: str) -> None:
    with FakeServer(answer) as server:
        model = engine(server)
        stream = model.reply(PROMPT)
        assert next(stream) == "Hel"
        with pytest.raises(EngineError, match=words):
            next(stream)
        model.close()


def test_a_server_that_says_nothing_fails_in_time() -> None:
    gate = threading.Event()
    with FakeServer(Answer([event("a"), event("b")], wait=gate)) as server:
        model = engine(server, timeout_s=0.05)
        stream = model.reply(PROMPT)
        assert next(stream) == "a"
        with pytest.raises(EngineError, match="stood still"):
            next(stream)
        gate.set()
        model.close()


def test_nobody_listening_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    model = OpenAIModel(base_url=f"http://127.0.0.1:{port}/v1", model="m")
    with pytest.raises(EngineError, match=r"cannot connect .*is the server running"):
        list(model.reply(PROMPT))
    with pytest.raises(EngineError, match="cannot connect"):
        model.warm(PROMPT)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_url": "localhost:8080", "model": "m"}, "no address"),
        ({"base_url": "http://localhost:99999/v1", "model": "m"}, "port"),
        ({"base_url": "http://localhost/v1", "model": ""}, "model is empty"),
        ({"base_url": "https://llm.invalid/v1", "model": "m"}, "OPENAI_API_KEY"),
        ({"base_url": "http://localhost/v1", "model": "m", "fields": ("modle",)}, "'modle'"),
    ],
)
def test_wrong_settings_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(EngineUnavailable, match=words):
        OpenAIModel(**options)  # type: ignore[arg-type]


def test_a_server_without_keys_needs_none() -> None:
    OpenAIModel(base_url="http://llm.invalid/v1", model="m", api_key_env="").close()


@pytest.mark.parametrize(
    ("raw", "events"),
    [
        (b"data: a\n\n", ["a"]),
        (b"data:a\r\n\r\n", ["a"]),
        (b"data: a\r\rdata:  b\r\r", ["a", " b"]),
        (b": ping\n\ndata: a\nid: 3\nevent: x\ndata: b\n\n", ["a\nb"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: [DONE]\n", ["[DONE]"]),
        (b"data: half", []),
    ],
)
def test_event_streams_are_read_as_the_standard_says(raw: bytes, events: list[str]) -> None:
    assert EventStream().feed(raw) == events


@given(st.lists(st.integers(0, 200), max_size=30), st.sampled_from(["\n", "\r\n", "\r"]))
def test_packets_may_end_anywhere(cuts: list[int], end: str) -> None:
    text = f"data: 你好 🦊{end}{end}: note{end}{end}data:é{end}data: ü{end}{end}"
    raw = text.encode()
    stream, events = EventStream(), []
    places = sorted({0, *(min(c, len(raw)) for c in cuts), len(raw)})
    for start, stop in zip(places, places[1:], strict=False):
        events += stream.feed(raw[start:stop])
    assert events == ["你好 🦊", "é\nü"]
