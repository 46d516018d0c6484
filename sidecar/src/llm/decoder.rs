//! A decoder with a KV cache as a [`Model`]: rows of text in, the probability of each label out.
//!
//! 1. At load, the prefix (instruction, labels, what the chat template puts around them) runs once; its keys and values are kept
//!    and given to every forward.
//! 2. A row is what follows the prefix. For every probe of the labels' trie it is put into the batch once, with the probe's
//!    tokens behind it; most label sets have one probe, without tokens. Rows are padded on the right and the padding is masked.
//! 3. Of the logits, those of the tokens at the forks are read; keys and values of a text are not asked for.
//!
//! The logits of all positions lie in memory, `tokens · vocabulary` numbers, so forwards are cut to `MAX_LOGITS_BYTES`: rows
//! go in several, and a row that is longer alone in pieces. The prefix is repeated for every row of a forward, of which there
//! are as many as fit into `MAX_PREFIX_BYTES`.
//!
//! Graphs: those of Optimum's `text-generation-with-past` and their like.

mod graph;
mod past;

use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use super::labels::Probe;
use super::suffix::{Prompt, Suffixes};
use crate::model::{ForwardError, Model, TokenizedText};
use crate::onnx::device::Placement;
use crate::onnx::{Device, LoadError, ModelFiles};
use graph::{Batch, Graph};
use past::Past;

/// Logits of one forward. A vocabulary of 150,000 takes 0.6 MB a token: 440 tokens.
const MAX_LOGITS_BYTES: usize = 256 << 20;

/// Keys and values of the prefix, repeated for the rows of one forward. Those of Qwen3-0.6B take 0.23 MB a token.
const MAX_PREFIX_BYTES: usize = 512 << 20;

/// Fewest tokens of a forward: the path of a probe is never cut.
const MIN_TOKENS: usize = 64;

/// How far the probabilities of a row may be from those that it has alone. Graphs of 8 bits round by what else is in the batch.
const BATCH_TOLERANCE: f32 = 0.05;

/// Why a decoder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DecoderError {
    /// The graph.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Tokenizer, chat template or labels.
    #[error("{0}")]
    Prompt(String),
    /// The first forward.
    #[error("warm-up: {0}")]
    WarmUp(#[from] ForwardError),
}

/// A loaded decoder, its prefix read.
#[derive(Debug)]
pub struct Decoder {
    state: Mutex<State>,
    prompt: Prompt,
    probes: Vec<Probe>,
    limits: Limits,
    placement: Placement,
}

#[derive(Debug)]
struct State {
    graph: Graph,
    prefix: Past,
}

/// What one forward may hold.
#[derive(Debug, Clone, Copy)]
struct Limits {
    rows: usize,
    tokens: usize,
}

/// A row with the tokens of a probe behind it.
struct Job<'p> {
    row: usize,
    /// Place of the row's own last token.
    last: usize,
    probe: &'p Probe,
    ids: Vec<u32>,
}

impl Decoder {
    /// Loads the graph of `files` and runs the prefix. `system`: the whole system message, as
    /// [`system_message`](super::prompt::system_message) makes it. `intra_threads`: threads of one forward, 0 = as many as the
    /// process may use cores.
    ///
    /// A graph that does not give a row of a batch what it gives the row alone gets its rows one after the other.
    ///
    /// Blocks.
    ///
    /// # Errors
    /// [`DecoderError`].
    pub fn load(
        environment: &Environment,
        files: &ModelFiles,
        system: &str,
        labels: &[String],
        device: Device,
        intra_threads: usize,
    ) -> Result<Self, DecoderError> {
        let prompt = Prompt::of(files, system, labels).map_err(DecoderError::Prompt)?;
        let (mut graph, placement) = Graph::open(
            environment,
            &files.graph,
            files.pad_token,
            device,
            intra_threads,
        )?;
        let tokens = match graph.logits_bytes_per_token() {
            0 => usize::MAX,
            bytes => (MAX_LOGITS_BYTES / bytes).max(MIN_TOKENS),
        };
        let prefix = graph.read(&prompt.prefix, tokens)?;
        let rows = (MAX_PREFIX_BYTES / prefix.bytes().max(1)).max(1);
        let mut decoder = Self {
            probes: prompt.trie.probes(),
            state: Mutex::new(State { graph, prefix }),
            limits: Limits { rows, tokens },
            prompt,
            placement,
        };
        decoder.prove_batching()?;
        Ok(decoder)
    }

    /// Where it runs.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// Tokens before every text, which are not computed again.
    #[must_use]
    pub fn prefix_tokens(&self) -> usize {
        self.prompt.prefix.len()
    }

    pub(super) fn suffixes(&self) -> Suffixes {
        self.prompt.suffixes.clone()
    }

    /// Runs two rows alone and together; also warms the model up.
    fn prove_batching(&mut self) -> Result<(), DecoderError> {
        let row = |text: &str| self.prompt.suffixes.of(text, MIN_TOKENS);
        let (short, long) = (
            row("Hi"),
            row("How do I find the way home from here at night?"),
        );
        let (short, long) = (
            short.map_err(DecoderError::Prompt)?,
            long.map_err(DecoderError::Prompt)?,
        );
        let alone = [self.forward(&[&short])?, self.forward(&[&long])?].concat();
        let together = self.forward(&[&short, &long]);
        let same = together.is_ok_and(|together| {
            let pairs = together.iter().flatten().zip(alone.iter().flatten());
            pairs
                .into_iter()
                .all(|(a, b)| (a - b).abs() <= BATCH_TOLERANCE)
        });
        if !same {
            tracing::warn!(
                "the graph of the language model does not read several texts at once; they run one by one"
            );
            self.limits.rows = 1;
        }
        Ok(())
    }

    /// The jobs of a forward, in the rows' order.
    fn jobs(&self, rows: &[&TokenizedText]) -> Vec<Job<'_>> {
        let mut jobs = Vec::with_capacity(rows.len() * self.probes.len());
        for (row, text) in rows.iter().enumerate() {
            jobs.extend(self.probes.iter().map(|probe| Job {
                row,
                last: text.input_ids.len().saturating_sub(1),
                probe,
                ids: [text.input_ids.as_slice(), &probe.path].concat(),
            }));
        }
        jobs
    }

    /// How many of the first jobs go into one forward.
    fn fitting(&self, jobs: &[Job<'_>]) -> usize {
        let mut longest = 0;
        let fits = |(before, job): &(usize, &Job<'_>)| {
            longest = longest.max(job.ids.len());
            (before + 1) * longest <= self.limits.tokens
        };
        let jobs = jobs.iter().take(self.limits.rows).enumerate();
        jobs.take_while(fits).count().max(1)
    }
}

impl Model for Decoder {
    type Output = Vec<f32>;

    fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<Vec<f32>>, ForwardError> {
        if rows.iter().any(|row| row.input_ids.is_empty()) {
            return Err(ForwardError::Runtime("a row without tokens".into()));
        }
        let trie = &self.prompt.trie;
        let mut logits = vec![vec![Vec::new(); trie.forks()]; rows.len()];
        let jobs = self.jobs(rows);
        let mut open = jobs.as_slice();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { graph, prefix } = &mut *state;
        while !open.is_empty() {
            let (now, later) = open.split_at(self.fitting(open).min(open.len()));
            open = later;
            let ids: Vec<&[u32]> = now.iter().map(|job| job.ids.as_slice()).collect();
            let batch = Batch {
                rows: &ids,
                from: now.iter().map(|job| job.last).min().unwrap_or_default(),
            };
            let read = graph.logits(prefix, &batch, self.limits.tokens)?;
            for (at, job) in now.iter().enumerate() {
                for &(depth, fork) in &job.probe.forks {
                    let found = read.at(at, job.last + depth, trie.tokens(fork))?;
                    if let Some(place) = logits.get_mut(job.row).and_then(|row| row.get_mut(fork)) {
                        *place = found;
                    }
                }
            }
        }
        let answers: Vec<Vec<f32>> = logits.iter().map(|row| trie.probabilities(row)).collect();
        if answers.iter().flatten().all(|chance| chance.is_finite()) {
            Ok(answers)
        } else {
            Err(ForwardError::Runtime(
                "the model's logits are not finite".into(),
            ))
        }
    }
}

#[cfg(test)]
mod tests;
