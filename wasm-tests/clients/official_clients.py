"""Sends requests with the official clients of OpenAI and Anthropic, and prints what they sent and read as JSON.

    python official_clients.py '{"port": 8801, "user": "alice"}' < cases.json

Each case: `name`, `api` (chat, responses or messages), `stream`, `request` (arguments of the client's own call), `headers`. Answers
of the LLM server behind the gateway are ordered here, for it speaks only one of the three by itself.
"""

import json
import sys
import traceback

import anthropic
import openai

TEXT = "Gern.\n\"Voilà\" 🙂"
TO = json.loads(sys.argv[1])
SENT = {}
HEADERS = {}


def sent(request):
    SENT[request.headers["x-standin-tag"]] = request.read().decode()


def answered(response):
    HEADERS[response.request.headers["x-standin-tag"]] = dict(response.headers)


def client(of, http, path):
    """A client as its documentation says for a server of one's own, which tells what goes over the wire."""
    hooks = {"request": [sent], "response": [answered]}
    return of(
        base_url=f"http://127.0.0.1:{TO['port']}{path}",
        api_key="none",
        max_retries=0,
        timeout=60,
        default_headers={"x-auth-request-user": TO["user"], "x-auth-request-tier": "gold"},
        http_client=http(event_hooks=hooks),
    )


OPENAI = client(openai.OpenAI, openai.DefaultHttpxClient, "/v1")
ANTHROPIC = client(anthropic.Anthropic, anthropic.DefaultHttpxClient, "")


def events(*events):
    return "".join(f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n" for kind, data in events)


def response(status="completed", output=None):
    part = {"type": "output_text", "text": TEXT, "annotations": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": [part]}
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "tools": [],
        "parallel_tool_calls": True, "tool_choice": "auto", "output": [message] if output is None else output,
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, "input_tokens_details": {"cached_tokens": 0},
                  "output_tokens_details": {"reasoning_tokens": 0}},
    }


def response_events():
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": []}
    whole = response()
    return events(
        ("response.created", {"sequence_number": 0, "response": response("in_progress", [])}),
        ("response.output_item.added", {"sequence_number": 1, "output_index": 0, "item": item}),
        ("response.content_part.added", {"sequence_number": 2, **at, "part": empty}),
        ("response.output_text.delta", {"sequence_number": 3, **at, "delta": TEXT, "logprobs": []}),
        ("response.output_text.done", {"sequence_number": 4, **at, "text": TEXT, "logprobs": []}),
        ("response.output_item.done", {"sequence_number": 5, "output_index": 0, "item": whole["output"][0]}),
        ("response.completed", {"sequence_number": 6, "response": whole}),
    )


def message(content, stop_reason="end_turn"):
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": stop_reason,
        "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 2},
    }


def message_events():
    return events(
        ("message_start", {"message": message([], None)}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": TEXT}}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}}),
        ("message_stop", {}),
    )


def orders(api, stream):
    """Headers by which the LLM server answers as this API does."""
    if api == "chat":
        return {"x-standin-content": json.dumps(TEXT)}
    if stream:
        body = response_events() if api == "responses" else message_events()
        return {"x-standin-body": json.dumps(body), "x-standin-content-type": "text/event-stream"}
    body = response() if api == "responses" else message([{"type": "text", "text": TEXT}])
    return {"x-standin-body": json.dumps(json.dumps(body))}


def read_chat(completion):
    choice = completion.choices[0]
    usage = completion.usage.total_tokens if completion.usage else None
    return {"text": choice.message.content, "finish": choice.finish_reason, "model": completion.model, "tokens": usage}


def read_response(read):
    details = read.incomplete_details.reason if read.incomplete_details else None
    return {"text": read.output_text, "finish": details or read.status, "model": read.model, "tokens": read.usage.total_tokens}


def read_message(read):
    tokens = read.usage.input_tokens + read.usage.output_tokens
    return {"text": "".join(b.text for b in read.content), "finish": read.stop_reason, "model": read.model, "tokens": tokens}


APIS = {
    "chat": (OPENAI.chat.completions, "get_final_completion", read_chat),
    "responses": (OPENAI.responses, "get_final_response", read_response),
    "messages": (ANTHROPIC.messages, "get_final_message", read_message),
}


def ask(case):
    calls, final, read = APIS[case["api"]]
    tag = f"{TO['user']} {case['name']}"
    headers = {**orders(case["api"], case["stream"]), **case["headers"], "x-standin-tag": tag}
    if case["stream"]:
        # The helper puts the events together, and raises at those that it cannot place.
        with calls.stream(**case["request"], extra_headers=headers) as stream:
            answer = getattr(stream, final)()
    else:
        answer = calls.create(**case["request"], extra_headers=headers)
    return {"tag": tag, "sent": SENT[tag], "headers": HEADERS[tag], **read(answer)}


def main():
    facts = []
    for case in json.load(sys.stdin):
        try:
            facts.append(ask(case))
        except Exception:
            # The others still have something to say.
            facts.append({"failed": f"{case['name']}: {traceback.format_exc()}"})
    json.dump({"text": TEXT, "facts": facts}, sys.stdout)


main()
