//! `sidecar`: the native service beside the proxy, what it loads and how it serves.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::AddressConfig;
use crate::decision::OnError;

/// `sidecar`: the native service beside the proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SidecarConfig {
    /// Whether requests may ask it. Without it, only keyword rules and the default model decide.
    pub enabled: bool,
    /// Unix socket that the sidecar listens on and Envoy connects to. Empty: TCP only.
    pub unix_socket: String,
    /// TCP address that the sidecar listens on; Envoy uses it when `unix_socket` is empty.
    pub tcp: AddressConfig,
    /// Who may call over TCP. The unix socket asks for nothing: the file's mode decides.
    #[serde(skip_serializing_if = "TcpAccessConfig::is_open")]
    pub tcp_access: TcpAccessConfig,
    /// How long the proxy waits for an analysis, in milliseconds.
    pub timeout_ms: u32,
    /// What happens to an `auto` request when the sidecar fails or is late.
    pub on_error: OnError,
    /// Where models run: `cpu`, `cuda`, `cuda:1`, `tensorrt`, or `auto`: CUDA on the first GPU where there is one, else the CPU.
    pub device: String,
    /// The encoder that it loads.
    pub encoder: EncoderConfig,
    /// How texts of many requests share a forward.
    pub batching: BatchingConfig,
    /// Heads over the encoder's vector, trained by `turnpike train-head --sidecar`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<SidecarHeadConfig>,
    /// Whole classification models beside the encoder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classifiers: Vec<ModelClassifierConfig>,
    /// A language model that chooses one of a few labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_classifier: Option<LlmClassifierConfig>,
    /// Requests in progress above which it answers 503.
    pub max_concurrent_requests: u32,
    /// Threads that ONNX Runtime uses for one forward; 0 = all cores.
    pub intra_threads: u16,
}

impl Default for SidecarConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            unix_socket: "/run/turnpike/sidecar.sock".into(),
            tcp: AddressConfig {
                address: "127.0.0.1".into(),
                port: 9191,
            },
            tcp_access: TcpAccessConfig::default(),
            timeout_ms: 250,
            on_error: OnError::Default,
            device: "auto".into(),
            encoder: EncoderConfig::default(),
            batching: BatchingConfig::default(),
            heads: Vec::new(),
            classifiers: Vec::new(),
            llm_classifier: None,
            max_concurrent_requests: 512,
            intra_threads: 0,
        }
    }
}

impl SidecarConfig {
    /// Names and thresholds of the heads and classifiers that conditions may name; none where nobody may ask.
    pub fn asked_heads(&self) -> impl Iterator<Item = (&str, f32)> {
        let heads = self
            .heads
            .iter()
            .map(|head| (head.name.as_str(), head.threshold));
        let models = self.classifiers.iter();
        let models = models.map(|model| (model.name.as_str(), model.threshold));
        heads.chain(models).filter(|_| self.enabled)
    }

    /// Labels of the language model.
    pub fn llm_labels(&self) -> impl Iterator<Item = &str> {
        let labels = self.llm_classifier.iter().flat_map(|llm| &llm.labels);
        labels
            .map(|label| label.name.as_str())
            .filter(|_| self.enabled)
    }
}

/// `sidecar.tcp_access`: who may call over TCP. Without a key, whoever reaches the port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TcpAccessConfig {
    /// File with the token that callers send as `authorization: Bearer …`. Envoy sends none: it needs the unix socket then.
    pub bearer_token_file: String,
    /// Certificate chain of the sidecar, PEM. With it, TCP is TLS.
    pub certificate_file: String,
    /// Its private key, PEM.
    pub private_key_file: String,
    /// Authorities whose client certificates are asked for, PEM. Empty: no client certificate is asked for.
    pub client_ca_file: String,
}

impl TcpAccessConfig {
    /// Whether neither token nor certificate is asked for, and TCP is plain.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether callers must show who they are.
    #[must_use]
    pub fn identifies(&self) -> bool {
        !self.bearer_token_file.is_empty() || !self.client_ca_file.is_empty()
    }
}

/// Which of a model's files is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// `model.onnx`.
    #[default]
    Fp32,
    /// `model_fp16.onnx`.
    Fp16,
    /// `model_int8.onnx`, or `model_quantized.onnx`.
    Int8,
}

impl Precision {
    /// As in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }
}

/// `sidecar.encoder`: which model embeds texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EncoderConfig {
    /// Name shown by `/v1/embeddings` and part of every cache key.
    pub name: String,
    /// Folder with `model.onnx`, `tokenizer.json`, `config.json`. Wins over `repository`.
    pub path: String,
    /// Hugging Face repository to fetch the same files from, as `owner/name`.
    pub repository: String,
    /// Which of the model's files is loaded.
    pub precision: Precision,
    /// Tokens of a text that are read; the rest is cut.
    pub max_tokens: u32,
    /// Put before every text, as `query: ` for E5.
    pub prefix: String,
    /// Put before texts that `/v1/embeddings` gets with `input_type: passage`, as `passage: ` for E5.
    pub passage_prefix: String,
    /// Components that are kept of a vector, for models trained for it (Matryoshka); 0 = all.
    pub dimensions: u32,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self {
            name: "all-MiniLM-L6-v2".into(),
            path: String::new(),
            repository: String::new(),
            precision: Precision::Fp32,
            max_tokens: 256,
            prefix: String::new(),
            passage_prefix: String::new(),
            dimensions: 0,
        }
    }
}

/// `sidecar.batching`: how texts of many requests share a forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BatchingConfig {
    /// Texts of one forward; 0 = what suits the device: 16 on a CPU, 64 on a GPU.
    pub max_batch_size: u32,
    /// Milliseconds that a forward waits under load for as many texts as the last one had; an idle model never waits.
    pub max_wait_ms: u32,
    /// Tokens of one forward, padding included; a longer text runs alone. 0 = what suits the device: 512 on a CPU, where more make
    /// no text faster, 16384 on a GPU.
    pub max_tokens: u32,
    /// Texts that may wait for a model; more are refused with 503.
    pub queue: u32,
}

impl Default for BatchingConfig {
    fn default() -> Self {
        Self {
            max_batch_size: 0,
            max_wait_ms: 2,
            max_tokens: 0,
            queue: 1024,
        }
    }
}

/// `sidecar.heads`: a head over the encoder's vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SidecarHeadConfig {
    /// Name under which `/v1/classify` and conditions know it.
    pub name: String,
    /// File of `turnpike train-head --sidecar`, relative to the configuration.
    pub path: String,
    /// Probability from which a label counts for a condition, 0 to 1.
    #[serde(default = "half")]
    pub threshold: f32,
    /// The label that says that there is nothing, for guards: the window of a long text where it is least probable decides, so
    /// that nothing hides in the middle. Without it the windows' mean decides, as for topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_label: Option<String>,
}

fn half() -> f32 {
    0.5
}

/// `sidecar.classifiers`: a sequence or token classification model, exported to ONNX.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelClassifierConfig {
    /// Name under which `/v1/classify` and conditions know it.
    pub name: String,
    /// Folder with `model.onnx`, `tokenizer.json`, `config.json`. Wins over `repository`.
    #[serde(default)]
    pub path: String,
    /// Hugging Face repository to fetch the same files from, as `owner/name`.
    #[serde(default)]
    pub repository: String,
    /// Which of the model's files is loaded.
    #[serde(default)]
    pub precision: Precision,
    /// Tokens of a window; longer texts are read in several. 0 = as many as the model reads, at most 512.
    #[serde(default)]
    pub max_tokens: u32,
    /// Probability from which a label counts for a condition, 0 to 1.
    #[serde(default = "half")]
    pub threshold: f32,
    /// As for heads. Models whose labels are each a question of their own need none: the window where a label is most
    /// probable decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_label: Option<String>,
}

/// `sidecar.llm_classifier`: a language model that chooses one of a few labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LlmClassifierConfig {
    /// Who runs the model.
    pub engine: LlmEngine,
    /// `openai`: base URL of the server, as `http://127.0.0.1:8000/v1`.
    pub url: String,
    /// `openai`: name of the model on that server.
    pub model: String,
    /// `openai`: environment variable with the key for the server; empty: none is sent.
    pub api_key_env: String,
    /// `openai`: how the server is told to answer with one of the labels.
    pub guided: Guided,
    /// `openai`: further keys of the request body, as `chat_template_kwargs: {enable_thinking: false}`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra_body: Map<String, Value>,
    /// `openai`: tokens that a model may write that thinks before it answers; 0: such an answer counts as failed.
    pub reasoning_tokens: u32,
    /// `openai`: attempts after the first that failed with 429 or 5xx, within `timeout_ms`.
    pub max_retries: u32,
    /// `openai`: questions in progress; more wait for their turn within `timeout_ms`.
    pub max_concurrent: u32,
    /// `onnx`: folder with `model.onnx`, `tokenizer.json`, `tokenizer_config.json`, `config.json`. Wins over `repository`.
    pub path: String,
    /// `onnx`: Hugging Face repository to fetch the same files from, as `owner/name`.
    pub repository: String,
    /// `onnx`: which of the model's files is loaded.
    pub precision: Precision,
    /// What the model is told, before the labels and their descriptions.
    pub instruction: String,
    /// What it chooses from.
    pub labels: Vec<LlmLabelConfig>,
    /// The label of a text when the model fails or is late.
    pub default_label: String,
    /// Tokens (`onnx`) or quarters of that many bytes (`openai`) of the text that are read: its beginning and its end.
    pub max_tokens: u32,
    /// Time for an answer in milliseconds, all attempts together.
    pub timeout_ms: u32,
}

impl Default for LlmClassifierConfig {
    fn default() -> Self {
        let label = |name: &str, description: &str| LlmLabelConfig {
            name: name.into(),
            description: description.into(),
        };
        Self {
            engine: LlmEngine::OpenAi,
            url: String::new(),
            model: String::new(),
            api_key_env: String::new(),
            guided: Guided::None,
            extra_body: Map::new(),
            reasoning_tokens: 1024,
            max_retries: 2,
            max_concurrent: 32,
            path: String::new(),
            repository: String::new(),
            precision: Precision::Fp32,
            instruction: "Decide how a request to an assistant is best served. Answer with exactly one of the labels."
                .into(),
            labels: vec![
                label(
                    "MODERATE",
                    "an everyday question, small talk, writing, translation or simple code that a small model answers well",
                ),
                label(
                    "COMPLEX",
                    "needs deep or long reasoning: proofs, hard code, planning with many constraints",
                ),
                label(
                    "ENRICH",
                    "needs facts of today that no model knows: news, weather, prices, results, opening hours",
                ),
                label(
                    "META",
                    "a task about the conversation itself: a title, tags, a summary or follow-up questions for it",
                ),
            ],
            default_label: "MODERATE".into(),
            max_tokens: 1024,
            timeout_ms: 2000,
        }
    }
}

/// Who runs the language model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LlmEngine {
    /// A server with OpenAI's API: vLLM, Ollama, llama.cpp, OpenAI.
    #[default]
    OpenAi,
    /// The sidecar itself, with a decoder exported to ONNX.
    Onnx,
}

/// How a server is told to answer with one of the labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Guided {
    /// It is only asked to.
    #[default]
    None,
    /// vLLM 0.12 and later: `structured_outputs: {choice: […]}`.
    StructuredOutputs,
    /// Older vLLM, SGLang: `guided_choice: […]`.
    GuidedChoice,
}

/// One label of the language model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LlmLabelConfig {
    /// The word that the model answers with.
    pub name: String,
    /// When it applies, for the model to read.
    #[serde(default)]
    pub description: String,
}
