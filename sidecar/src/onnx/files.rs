//! Where a model's files are: a local folder, or a Hugging Face repository.
//!
//! Needed are the graph ([`graph_names`]; in the folder itself or under `onnx/`), `tokenizer.json` and `config.json`. Read when
//! they are there: `1_Pooling/config.json` (else the mean is taken) and `modules.json` (else vectors are normalised), both of
//! sentence-transformers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use turnpike_core::config::Precision;

use crate::encoder::pooling::Pooling;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A local folder.
    Folder(PathBuf),
    /// A Hugging Face repository, `owner/name`.
    Repository(String),
}

impl Source {
    /// What `path` and `repository` of the configuration say; the folder wins.
    #[must_use]
    pub fn of(path: &str, repository: &str) -> Option<Self> {
        match (path, repository) {
            ("", "") => None,
            ("", repository) => Some(Self::Repository(repository.to_owned())),
            (path, _) => Some(Self::Folder(path.into())),
        }
    }
}

/// Why the files are not there or not fit.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Neither folder nor repository.
    #[error("name a folder in `path` or a Hugging Face repository in `repository`")]
    NotConfigured,
    /// A file cannot be read.
    #[error("{}: {error}; `make setup` fetches the default encoder", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file says something else than expected.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A file cannot be fetched.
    #[error("Hugging Face repository {repository}: {file}: {message}")]
    Fetch {
        /// As `owner/name`.
        repository: String,
        /// The file.
        file: String,
        /// What the hub said.
        message: String,
    },
}

/// A model on disk, its settings read.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFiles {
    /// The graph.
    pub graph: PathBuf,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// `tokenizer_config.json`, if there is one: the chat template of a language model stands in it.
    pub tokenizer_config: Option<PathBuf>,
    /// `chat_template.jinja`, if there is one.
    pub chat_template: Option<PathBuf>,
    /// `config.json`.
    pub config: PathBuf,
    /// Length of a token's vector; 0 when `config.json` does not say.
    pub hidden_size: usize,
    /// Tokens that the model can read; `None` when `config.json` does not say.
    pub max_tokens: Option<usize>,
    /// The token that rows are padded with.
    pub pad_token: u32,
    /// How token vectors become one.
    pub pooling: Pooling,
    /// Whether the model's vectors are scaled to length 1.
    pub normalize: bool,
    /// Labels of a classification model, in the order of its outputs.
    pub labels: Vec<String>,
    /// Whether each label of a classification model is a question of its own.
    pub multi_label: bool,
    /// Whether a classification model labels tokens rather than texts.
    pub labels_tokens: bool,
    /// Whether the score of a classification model is none of a probability: it was trained to give a number as it is.
    pub raw_score: bool,
}

/// The part of `config.json` that matters here; unknown keys are allowed, the file belongs to transformers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConfigFile {
    #[serde(alias = "dim", alias = "d_model")]
    hidden_size: usize,
    max_position_embeddings: Option<usize>,
    model_type: String,
    pad_token_id: Option<u32>,
    architectures: Option<Vec<String>>,
    id2label: BTreeMap<String, String>,
    problem_type: Option<String>,
    /// Of cross-encoders, written by sentence-transformers before version 4.
    sbert_ce_default_activation_function: Option<String>,
    sentence_transformers: Option<SentenceTransformersFile>,
}

/// What sentence-transformers writes about cross-encoders: a part of `config.json`, of newer versions
/// `config_sentence_transformers.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SentenceTransformersFile {
    activation_fn: Option<String>,
}

/// A line of `modules.json`.
#[derive(Debug, Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

/// Families whose first positions stand for padding: they read fewer tokens than they have positions.
const PADDED_POSITIONS: [&str; 7] = [
    "camembert",
    "data2vec-text",
    "longformer",
    "mpnet",
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
];

impl ConfigFile {
    fn max_tokens(&self) -> Option<usize> {
        let positions = self.max_position_embeddings?;
        let taken = if PADDED_POSITIONS.contains(&self.model_type.as_str()) {
            self.pad_token_id.map_or(2, |id| id as usize + 1)
        } else {
            0
        };
        Some(positions.saturating_sub(taken))
    }

    /// Whether the scores are not those of probabilities. `newer`: what `config_sentence_transformers.json` says.
    fn gives_raw_scores(&self, newer: &SentenceTransformersFile) -> bool {
        let activation = [
            &newer.activation_fn,
            self.sentence_transformers
                .as_ref()
                .map_or(&None, |it| &it.activation_fn),
            &self.sbert_ce_default_activation_function,
        ];
        let activation = activation.into_iter().flatten().next();
        let is_identity = activation.is_some_and(|name| name.ends_with("Identity"));
        is_identity || self.problem_type.as_deref() == Some("regression")
    }

    /// Labels by the numbers of `id2label`, which must be 0, 1, 2 …
    fn labels(&self) -> Result<Vec<String>, String> {
        let mut labels = BTreeMap::new();
        for (id, label) in &self.id2label {
            let id: usize = id
                .parse()
                .map_err(|_| format!("id2label: `{id}` is no number"))?;
            labels.insert(id, label.clone());
        }
        match labels.keys().enumerate().find(|(at, id)| at != *id) {
            Some((missing, _)) => Err(format!("id2label: {missing} is missing")),
            None => Ok(labels.into_values().collect()),
        }
    }
}

/// Names of the graph by its precision, the usual one first.
#[must_use]
pub fn graph_names(precision: Precision) -> &'static [&'static str] {
    match precision {
        Precision::Fp32 => &["model.onnx"],
        Precision::Fp16 => &["model_fp16.onnx"],
        Precision::Int8 => &["model_int8.onnx", "model_quantized.onnx"],
    }
}

/// Endings of files that hold weights beside a graph of more than 2 GB.
const EXTERNAL_DATA: [&str; 2] = ["_data", ".data"];

/// A folder or a repository that files are asked of.
enum Shelf<'s> {
    Folder(&'s Path),
    Repository(&'s str, Box<ApiRepo>),
}

impl Shelf<'_> {
    /// The file's path, `None` when there is none. A file that the hub does not have is one thing, a hub that does not answer
    /// another: the latter is an error, so that no model is loaded with the wrong pooling.
    fn find(&self, file: &str) -> Result<Option<PathBuf>, FilesError> {
        match self {
            Self::Folder(folder) => Ok(Some(folder.join(file)).filter(|path| path.exists())),
            Self::Repository(name, api) => match api.get(file) {
                Ok(path) => Ok(Some(path)),
                Err(error) if is_not_found(&error) => Ok(None),
                Err(error) => Err(fetch(name, file, &error)),
            },
        }
    }

    fn get(&self, file: &str) -> Result<PathBuf, FilesError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(file);
                match std::fs::metadata(&path) {
                    Ok(_) => Ok(path),
                    Err(error) => Err(FilesError::Unreadable { path, error }),
                }
            }
            Self::Repository(name, api) => api.get(file).map_err(|error| fetch(name, file, &error)),
        }
    }

    fn graph(&self, precision: Precision) -> Result<PathBuf, FilesError> {
        let names = graph_names(precision);
        for name in names {
            for place in [(*name).to_owned(), format!("onnx/{name}")] {
                if let Some(graph) = self.find(&place)? {
                    if matches!(self, Self::Repository(..)) {
                        for ending in EXTERNAL_DATA {
                            self.find(&format!("{place}{ending}"))?;
                        }
                    }
                    return Ok(graph);
                }
            }
        }
        self.get(names.first().copied().unwrap_or_default())
    }
}

impl ModelFiles {
    /// Files with weights beside the graph.
    #[must_use]
    pub fn external_data(&self) -> Vec<PathBuf> {
        let name = self.graph.to_string_lossy();
        let beside = EXTERNAL_DATA
            .iter()
            .map(|ending| PathBuf::from(format!("{name}{ending}")));
        beside.filter(|path| path.exists()).collect()
    }

    /// Finds the files of a model and reads its settings. A repository is fetched into the hub's cache folder (`HF_HOME`) or
    /// taken from there; `HF_ENDPOINT` names another hub.
    ///
    /// Blocks.
    ///
    /// # Errors
    /// [`FilesError`] naming the file.
    pub fn find(source: &Source, precision: Precision) -> Result<Self, FilesError> {
        let shelf = match source {
            Source::Folder(folder) => Shelf::Folder(folder),
            Source::Repository(name) => {
                let mut api = ApiBuilder::from_env().with_progress(false);
                // Otherwise that of `huggingface-cli login`.
                if let Ok(token) = std::env::var("HF_TOKEN") {
                    api = api.with_token(Some(token));
                }
                let api = api.build();
                let api = api.map_err(|error| fetch(name, "client", &error))?;
                Shelf::Repository(name, Box::new(api.model(name.clone())))
            }
        };
        let graph = shelf.graph(precision)?;
        let tokenizer = shelf.get("tokenizer.json")?;
        let config = shelf.get("config.json")?;
        let file: ConfigFile = json_of(&config)?;
        let labels = file.labels().map_err(|message| invalid(&config, message))?;
        let pooling = match shelf.find("1_Pooling/config.json")? {
            Some(path) => Pooling::from_json(&text_of(&path)?).map_err(|e| invalid(&path, e))?,
            None => Pooling::default(),
        };
        let normalize = match shelf.find("modules.json")? {
            Some(path) => normalizes(&path)?,
            None => true,
        };
        // Asked of models with one score alone: of others it says nothing, and a repository would be asked for it.
        let newer = match labels.len() {
            1 => shelf.find("config_sentence_transformers.json")?,
            _ => None,
        };
        let newer = newer.map(|path| json_of(&path)).transpose()?;
        let labels_tokens = file
            .architectures
            .iter()
            .flatten()
            .any(|name| name.ends_with("ForTokenClassification"));
        Ok(Self {
            graph,
            tokenizer,
            tokenizer_config: shelf.find("tokenizer_config.json")?,
            chat_template: shelf.find("chat_template.jinja")?,
            hidden_size: file.hidden_size,
            max_tokens: file.max_tokens(),
            pad_token: file.pad_token_id.unwrap_or_default(),
            pooling,
            normalize,
            raw_score: labels.len() == 1 && file.gives_raw_scores(&newer.unwrap_or_default()),
            labels,
            multi_label: file.problem_type.as_deref() == Some("multi_label_classification"),
            labels_tokens,
            config,
        })
    }
}

/// Whether `modules.json` ends in normalisation.
fn normalizes(path: &Path) -> Result<bool, FilesError> {
    let modules: Vec<Module> = json_of(path)?;
    let mut normalizes = false;
    for module in &modules {
        match module.kind.rsplit('.').next() {
            Some("Transformer" | "Pooling") => {}
            Some("Normalize") => normalizes = true,
            _ => {
                let message = format!("the module `{}` is not supported", module.kind);
                return Err(invalid(path, message));
            }
        }
    }
    Ok(normalizes)
}

fn text_of(path: &Path) -> Result<String, FilesError> {
    std::fs::read_to_string(path).map_err(|error| FilesError::Unreadable {
        path: path.to_owned(),
        error,
    })
}

fn json_of<T: DeserializeOwned>(path: &Path) -> Result<T, FilesError> {
    serde_json::from_str(&text_of(path)?).map_err(|error| invalid(path, error.to_string()))
}

fn invalid(path: &Path, message: String) -> FilesError {
    FilesError::Invalid {
        path: path.to_owned(),
        message,
    }
}

fn fetch(repository: &str, file: &str, error: &ApiError) -> FilesError {
    FilesError::Fetch {
        repository: repository.to_owned(),
        file: file.to_owned(),
        message: error.to_string(),
    }
}

fn is_not_found(error: &ApiError) -> bool {
    matches!(error, ApiError::RequestError(e) if matches!(**e, ureq::Error::StatusCode(404)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn find(folder: &tempfile::TempDir, precision: Precision) -> Result<ModelFiles, String> {
        let source = Source::Folder(folder.path().into());
        ModelFiles::find(&source, precision).map_err(|e| e.to_string())
    }

    #[test]
    fn a_roberta_reads_fewer_tokens_than_it_has_positions() {
        let config = r#"{"model_type": "xlm-roberta", "hidden_size": 8, "max_position_embeddings": 514, "pad_token_id": 1}"#;
        let folder = folder(&[
            ("onnx/model.onnx", ""),
            ("tokenizer.json", ""),
            ("config.json", config),
        ]);
        let files = find(&folder, Precision::Fp32).unwrap();
        assert_eq!(
            (files.max_tokens, files.pad_token, files.hidden_size),
            (Some(512), 1, 8)
        );
        assert!(files.normalize && files.graph.ends_with("onnx/model.onnx"));
    }

    #[test]
    fn the_precision_chooses_the_graph() {
        let folder = folder(&[
            ("model.onnx", ""),
            ("onnx/model_quantized.onnx", ""),
            ("tokenizer.json", ""),
            ("config.json", "{}"),
        ]);
        let int8 = find(&folder, Precision::Int8).unwrap();
        assert!(int8.graph.ends_with("onnx/model_quantized.onnx"));
        let error = find(&folder, Precision::Fp16).unwrap_err();
        assert!(error.contains("model_fp16.onnx"), "{error}");
    }

    #[test]
    fn modules_and_labels_are_read_and_unknown_ones_refused() {
        let modules = |last: &str| {
            format!(
                r#"[{{"type": "sentence_transformers.models.Pooling"}}, {{"type": "x.{last}"}}]"#
            )
        };
        let with = |config: &str, last: &str| {
            let folder = folder(&[
                ("model.onnx", ""),
                ("tokenizer.json", ""),
                ("config.json", config),
                ("modules.json", &modules(last)),
            ]);
            find(&folder, Precision::Fp32)
        };
        assert!(with("{}", "Normalize").unwrap().normalize);
        assert!(!with("{}", "Pooling").unwrap().normalize);
        assert!(
            with("{}", "Dense")
                .unwrap_err()
                .contains("`x.Dense` is not supported")
        );
        let labels = r#"{"id2label": {"1": "b", "0": "a", "2": "c"}}"#;
        assert_eq!(with(labels, "Pooling").unwrap().labels, ["a", "b", "c"]);
        let gap = with(r#"{"id2label": {"0": "a", "2": "c"}}"#, "Pooling").unwrap_err();
        assert!(gap.ends_with("id2label: 1 is missing"), "{gap}");
        assert!(with("[", "Pooling").unwrap_err().contains("config.json"));
    }

    #[test]
    fn a_score_that_is_no_probability_is_known_by_its_activation() {
        let raw = |config: &str, newer: &str| {
            let folder = folder(&[
                ("model.onnx", ""),
                ("tokenizer.json", ""),
                ("config.json", config),
                ("config_sentence_transformers.json", newer),
            ]);
            find(&folder, Precision::Fp32).unwrap().raw_score
        };
        let one = |more: &str| format!(r#"{{"id2label": {{"0": "LABEL_0"}}{more}}}"#);
        let identity = "torch.nn.modules.linear.Identity";
        let older = format!(r#", "sbert_ce_default_activation_function": "{identity}""#);
        let old = format!(r#", "sentence_transformers": {{"activation_fn": "{identity}"}}"#);
        let new = format!(r#"{{"activation_fn": "{identity}"}}"#);
        let sigmoid = r#"{"activation_fn": "torch.nn.modules.activation.Sigmoid"}"#;
        assert!(!raw(&one(""), "{}") && !raw(&one(""), sigmoid));
        for config in [
            one(&older),
            one(&old),
            one(r#", "problem_type": "regression""#),
        ] {
            assert!(raw(&config, "{}"), "{config}");
        }
        assert!(raw(&one(""), &new) && !raw(&one(&older), sigmoid));
        let two = r#"{"id2label": {"0": "a", "1": "b"}}"#;
        assert!(!raw(two, &new), "softmax of two labels");
    }
}
