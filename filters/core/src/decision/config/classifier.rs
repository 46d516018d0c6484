//! `classifier`, `prompt_guard` and `bert_model`: the models that read requests.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::shared_fields;

/// `classifier`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierConfig {
    /// Topic classifier.
    pub category_model: CategoryModelConfig,
    /// Personal-data detectors.
    pub pii_model: PiiModelConfig,
    /// Own heads of the model in the proxy, trained by `turnpike train-head`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<OwnHeadConfig>,
}

/// `classifier.heads`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OwnHeadConfig {
    /// File of `turnpike train-head`, relative to the configuration.
    pub path: String,
    /// Probability from which a label counts, 0 to 1; that of the file (0.5) if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// The file itself: `turnpike render` puts it here, for filters read no files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Value>,
}

impl OwnHeadConfig {
    /// Name and labels, where the file was read.
    #[must_use]
    pub fn about(&self) -> Option<(&str, Vec<&str>)> {
        let content = self.content.as_ref()?;
        let labels = content.get("labels")?.as_array()?;
        let labels = labels.iter().filter_map(Value::as_str).collect();
        Some((content.get("name")?.as_str()?, labels))
    }
}

/// Heads of the model in the proxy that conditions may read, with their labels.
pub const HEADS: [(&str, [&str; 2]); 4] = [
    ("jailbreak", ["benign", "jailbreak"]),
    ("toxicity", ["clean", "toxic"]),
    ("complexity", ["simple", "complex"]),
    ("fresh", ["static", "fresh"]),
];

shared_fields! {
    {
        /// Accepted for compatibility.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub model_id: Option<String>,
        /// Accepted for compatibility.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub use_cpu: Option<bool>,
        /// Accepted for compatibility.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub use_modernbert: Option<bool>,
    }

    /// `classifier.pii_model`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    #[serde(deny_unknown_fields, default)]
    pub struct PiiModelConfig {
        /// Score from which a finding counts, 0.5 to 1; 0.5 if missing.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub threshold: Option<f32>,
    } .. {
        /// Accepted for compatibility.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub pii_mapping_path: Option<String>,
    }

    /// `classifier.category_model`.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    #[serde(deny_unknown_fields, default)]
    pub struct CategoryModelConfig {
        /// Confidence below which a category does not count, 0 to 1. The proxy's own model settles what reaches it; the sidecar is
        /// asked about the rest.
        pub threshold: f32,
    } .. {
        /// Accepted for compatibility.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub category_mapping_path: Option<String>,
        /// What a model is told where the proxy's own model cannot tell the topic.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub uncertain: Option<UncertainConfig>,
    }

    /// `prompt_guard`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    #[serde(deny_unknown_fields, default)]
    pub struct PromptGuardConfig {
        /// Whether jailbreaks are stopped.
        pub enabled: bool,
        /// Probability from which a request counts as an attack, 0 to 1; the model's own threshold if missing.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub threshold: Option<f32>,
    } .. {
        /// Accepted for compatibility.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub jailbreak_mapping_path: Option<String>,
    }
}

impl Default for CategoryModelConfig {
    fn default() -> Self {
        Self {
            threshold: 0.45,
            model_id: None,
            use_cpu: None,
            use_modernbert: None,
            category_mapping_path: None,
            uncertain: None,
        }
    }
}

/// `classifier.category_model.uncertain`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UncertainConfig {
    /// Entropy of the topics' probabilities from which nobody knows, as a share of the highest possible one, 0 to 1.
    #[serde(default = "default_entropy")]
    pub entropy: f32,
    /// Whether the model shall reason then, where the model ref says nothing.
    pub use_reasoning: bool,
}

fn default_entropy() -> f32 {
    0.8
}

/// `bert_model`: the embedding model of vLLM Semantic Router; here `sidecar.encoder` names it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BertModelConfig {
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_cpu: Option<bool>,
}
