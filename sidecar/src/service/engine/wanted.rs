//! [`Wanted`]: which heads and classifiers are asked about texts, from the names that a caller gives.

use turnpike_core::sidecar::LLM_HEAD;

use super::Engine;
use crate::heads::Heads;

/// Which heads and classifiers are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub(super) shipped: Vec<String>,
    pub(super) own: Vec<usize>,
    pub(super) classifiers: Vec<usize>,
    pub(super) llm: bool,
}

impl Wanted {
    /// Whether nobody is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.reads_vectors() && !self.asks_models()
    }

    /// Whether models beside the encoder are asked.
    pub(in crate::service) fn asks_models(&self) -> bool {
        self.llm || !self.classifiers.is_empty()
    }

    /// Whether the encoder's vector is needed.
    pub(in crate::service) fn reads_vectors(&self) -> bool {
        !self.shipped.is_empty() || !self.own.is_empty()
    }
}

/// Names may be repeated by callers; nobody is asked twice.
trait DedupAll {
    fn dedup_all(&mut self);
}

impl<T: Ord> DedupAll for Vec<T> {
    fn dedup_all(&mut self) {
        self.sort();
        self.dedup();
    }
}

impl Engine {
    /// The heads and classifiers of these names; when `None`, all but the language model, whose answers may cost money.
    ///
    /// # Errors
    /// The place of a name that there is none of, and the names that there are.
    pub fn wanted(&self, asked: Option<&[String]>) -> Result<Wanted, (usize, Vec<String>)> {
        let known = self.names();
        let mut wanted = Wanted::default();
        let free: Vec<String> = known
            .iter()
            .filter(|name| *name != LLM_HEAD)
            .cloned()
            .collect();
        for (at, name) in asked.unwrap_or(&free).iter().enumerate() {
            let own = self.loaded.heads.iter();
            let own = own.enumerate().find(|(_, own)| own.name == *name);
            let models = self.loaded.classifiers.iter();
            let model = models
                .enumerate()
                .find(|(_, model)| model.value.name() == name);
            let shipped = self
                .shipped
                .iter()
                .flat_map(Heads::names)
                .any(|known| known == name);
            if let Some((at, _)) = own {
                wanted.own.push(at);
            } else if let Some((at, _)) = model {
                wanted.classifiers.push(at);
            } else if name == LLM_HEAD && self.loaded.llm.is_some() {
                wanted.llm = true;
            } else if shipped {
                wanted.shipped.push(name.clone());
            } else {
                return Err((at, known));
            }
        }
        wanted.shipped.dedup_all();
        wanted.own.dedup_all();
        wanted.classifiers.dedup_all();
        Ok(wanted)
    }
}
