//! Answers of the five APIs, as their servers write them.

use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Chat,
    ChatTool,
    Completions,
    Responses,
    ResponsesTool,
    Messages,
    MessagesTool,
}

pub(super) const ALL: [Api; 7] = [
    Api::Chat,
    Api::ChatTool,
    Api::Completions,
    Api::Responses,
    Api::ResponsesTool,
    Api::Messages,
    Api::MessagesTool,
];

fn event(name: &str, mut data: Value) -> String {
    data["type"] = name.into();
    format!("event: {name}\r\ndata: {data}\r\n\r\n")
}

impl Api {
    /// Whether texts are JSON documents themselves.
    pub(super) fn is_tool(self) -> bool {
        matches!(
            self,
            Self::ChatTool | Self::ResponsesTool | Self::MessagesTool
        )
    }

    /// A stream whose text comes in these pieces.
    pub(super) fn stream(self, pieces: &[&str]) -> String {
        let deltas: String = pieces.iter().map(|piece| self.delta(piece)).collect();
        let text = pieces.concat();
        match self {
            Self::Chat | Self::ChatTool | Self::Completions => format!(
                ": hello\n\ndata: {{\"id\":\"[1\",\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"\"}}}}]}}\n\n{deltas}data: {{\"id\":\"1\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n"
            ),
            Self::Responses | Self::ResponsesTool => {
                let (key, item) = if self == Self::Responses {
                    ("text", json!({"type": "message", "content": [{"type": "output_text", "text": text}]}))
                } else {
                    ("arguments", json!({"type": "function_call", "arguments": text}))
                };
                let name = if self == Self::Responses { "output_text" } else { "function_call_arguments" };
                [
                    event("response.created", json!({"sequence_number": 0, "response": {"output": []}})),
                    deltas,
                    event(&format!("response.{name}.done"), json!({"output_index": 0, "content_index": 0, key: text})),
                    event("response.output_item.done", json!({"output_index": 0, "item": item})),
                    event("response.completed", json!({"sequence_number": 9, "response": {"output": [item], "usage": {"output_tokens": 3}}})),
                ]
                .concat()
            }
            Self::Messages | Self::MessagesTool => [
                event("message_start", json!({"message": {"content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}})),
                event("content_block_start", json!({"index": 0, "content_block": {"type": "text", "text": ""}})),
                event("ping", json!({})),
                deltas,
                event("content_block_stop", json!({"index": 0})),
                event("message_delta", json!({"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}})),
                event("message_stop", json!({})),
            ]
            .concat(),
        }
    }

    fn delta(self, piece: &str) -> String {
        match self {
            Self::Chat => format!(
                "data: {}\n\n",
                json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]})
            ),
            Self::ChatTool => format!(
                "data: {}\n\n",
                json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}}]})
            ),
            Self::Completions => format!(
                "data: {}\n\n",
                json!({"choices": [{"text": piece, "index": 0}]})
            ),
            Self::Responses => event(
                "response.output_text.delta",
                json!({"output_index": 0, "content_index": 0, "delta": piece, "sequence_number": 4}),
            ),
            Self::ResponsesTool => event(
                "response.function_call_arguments.delta",
                json!({"output_index": 0, "delta": piece}),
            ),
            Self::Messages => event(
                "content_block_delta",
                json!({"index": 0, "delta": {"type": "text_delta", "text": piece}}),
            ),
            Self::MessagesTool => event(
                "content_block_delta",
                json!({"index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}}),
            ),
        }
    }

    /// The text that a client puts together from a stream.
    pub(super) fn read(self, stream: &[u8]) -> String {
        let stream = std::str::from_utf8(stream).unwrap();
        let data = stream
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        let events = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
        let pointer = match self {
            Self::Chat => "/choices/0/delta/content",
            Self::ChatTool => "/choices/0/delta/tool_calls/0/function/arguments",
            Self::Completions => "/choices/0/text",
            Self::Responses | Self::ResponsesTool => "/delta",
            Self::Messages => "/delta/text",
            Self::MessagesTool => "/delta/partial_json",
        };
        events
            .filter_map(|event| Some(event.pointer(pointer)?.as_str()?.to_owned()))
            .collect()
    }

    /// The text that the stream tells once more at its end.
    pub(super) fn read_again(self, stream: &[u8]) -> Option<String> {
        let stream = std::str::from_utf8(stream).unwrap();
        let last = stream
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .next_back()?;
        let last: Value = serde_json::from_str(last).ok()?;
        let item = last.pointer("/response/output/0")?;
        let text = item.pointer("/content/0/text").or(item.get("arguments"))?;
        text.as_str().map(str::to_owned)
    }

    /// The answer as one document.
    pub(super) fn document(self, text: &str) -> String {
        let document = match self {
            Self::Chat => {
                json!({"id": "[EMAIL_1]x", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}], "usage": {"prompt_tokens": 3}})
            }
            Self::ChatTool => {
                json!({"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": text}}]}}], "usage": {}})
            }
            Self::Completions => {
                json!({"choices": [{"text": text}], "usage": {"prompt_tokens": 3}})
            }
            Self::Responses => {
                json!({"output": [{"content": [{"type": "output_text", "text": text}]}], "usage": {"input_tokens": 3}})
            }
            Self::ResponsesTool => {
                json!({"output": [{"type": "function_call", "arguments": text}]})
            }
            Self::Messages => {
                json!({"type": "message", "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 3}})
            }
            Self::MessagesTool => {
                json!({"type": "message", "content": [{"type": "tool_use", "input": {"to": ["x", text]}}]})
            }
        };
        document.to_string()
    }

    /// The text of such a document.
    pub(super) fn read_document(self, document: &[u8]) -> String {
        let document: Value = serde_json::from_slice(document).unwrap();
        let pointer = match self {
            Self::Chat => "/choices/0/message/content",
            Self::ChatTool => "/choices/0/message/tool_calls/0/function/arguments",
            Self::Completions => "/choices/0/text",
            Self::Responses => "/output/0/content/0/text",
            Self::ResponsesTool => "/output/0/arguments",
            Self::Messages => "/content/0/text",
            Self::MessagesTool => "/content/0/input/to/1",
        };
        document
            .pointer(pointer)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    }
}
