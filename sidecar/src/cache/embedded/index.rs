//! The vectors of one partition.
//!
//! A small partition is a matrix that a lookup scans, exactly. Above [`MAX_SCANNED`] rows it gets a graph, and its rows move
//! there, oldest first, a few with each store: nothing is built while somebody waits. A lookup reads both.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::RwLock;

use super::entry::{Entry, Place};
use super::graph::{Graph, Placed};
use super::rows::Rows;
use crate::cache::fixed_point::cosine;

/// Rows from which a graph is faster than a scan: measured by `cargo bench -p benches --bench cache -- small`.
pub(super) const MAX_SCANNED: usize = 1_500;

/// Vectors of one partition and their entries.
#[derive(Debug)]
pub(super) struct Index {
    dimensions: usize,
    rows: Rows<Arc<Entry>>,
    graph: Option<Graph<Arc<Entry>>>,
}

/// An entry that a lookup found.
pub(super) type Candidate = (f32, Arc<Entry>);

impl Index {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            rows: Rows::new(dimensions),
            graph: None,
        }
    }

    /// Rows that a lookup scans.
    pub(super) fn scanned(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 0 && self.graph.as_ref().is_none_or(|graph| graph.len() == 0)
    }

    /// Whether rows should move into the graph.
    pub(super) fn is_crowded(&self) -> bool {
        self.rows.len() > MAX_SCANNED || (self.graph.is_some() && self.rows.len() > 0)
    }

    /// The `most` nearest entries, best first, of those that are `wanted` and reach `threshold`.
    pub(super) fn nearest(
        &self,
        query: &[i16],
        threshold: f32,
        most: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Vec<Candidate> {
        let mut best: Vec<Candidate> = Vec::with_capacity(most + 1);
        let mut offer = |product: i32, entry: &Arc<Entry>| {
            let similarity = cosine(product);
            let floor = match best.last() {
                Some(last) if best.len() == most => last.0,
                _ => f32::MIN,
            };
            if similarity < threshold || similarity <= floor || !wanted(entry) {
                return;
            }
            let at = best.partition_point(|better| better.0 >= similarity);
            best.insert(at, (similarity, Arc::clone(entry)));
            best.truncate(most);
        };
        for (product, entry) in self.rows.products(query) {
            offer(product, entry);
        }
        if let Some(graph) = &self.graph {
            for (product, slot) in graph.search(query, graph.breadth().max(most)) {
                if let Some(entry) = graph.get(slot) {
                    offer(product, entry);
                }
            }
        }
        best
    }

    /// Adds a row to be scanned.
    pub(super) fn push(&mut self, vector: &[i16], entry: Arc<Entry>) {
        let row = self.rows.push(vector, Arc::clone(&entry));
        entry.set_place(Place::Row(row));
    }

    fn remove_row(&mut self, row: usize) {
        if let Some(moved) = self.rows.remove(row) {
            moved.set_place(Place::Row(row));
        }
    }

    fn graph_mut(&mut self) -> &mut Graph<Arc<Entry>> {
        let dimensions = self.dimensions;
        self.graph.get_or_insert_with(|| Graph::new(dimensions))
    }

    /// The vector of an entry, and where it is in the graph, if it is there.
    pub(super) fn vector_of(&self, entry: &Entry) -> Option<(Cow<'_, [i16]>, Option<Placed>)> {
        match entry.place() {
            Place::Nowhere => None,
            Place::Row(row) => {
                let (found, vector) = self.rows.get(row)?;
                (found.id == entry.id).then_some((vector.into(), None))
            }
            Place::Slot(slot) => {
                let graph = self.graph.as_ref()?;
                let is_it = graph.get(slot).is_some_and(|found| found.id == entry.id);
                is_it.then(|| {
                    (
                        graph.vector(slot).into_vec().into(),
                        Some(graph.placed(slot)),
                    )
                })
            }
        }
    }

    /// Puts an entry back where it was in the graph, or into the matrix. [`Self::mend`] must follow.
    pub(super) fn restore(&mut self, placed: Option<&Placed>, vector: &[i16], entry: &Arc<Entry>) {
        match placed {
            Some(placed) if self.graph_mut().restore(placed, vector, Arc::clone(entry)) => {
                entry.set_place(Place::Slot(placed.slot));
            }
            _ => self.push(vector, Arc::clone(entry)),
        }
    }

    /// Makes a restored graph fit.
    pub(super) fn mend(&mut self) {
        if let Some(graph) = &mut self.graph {
            graph.mend();
        }
    }
}

/// Moves the first row into the graph; `false` when there is no need. Only one thread may change an index: what is found out
/// under the shared lock must still hold under the other.
pub(super) fn move_row(index: &RwLock<Index>) -> bool {
    let (plan, vector, entry) = {
        let index = index.read();
        let Some((entry, vector)) = index.rows.get(0).filter(|_| index.is_crowded()) else {
            return false;
        };
        let plan = index
            .graph
            .as_ref()
            .map(|graph| graph.plan_insertion(vector, entry.id));
        (plan, Box::<[i16]>::from(vector), Arc::clone(entry))
    };
    let mut index = index.write();
    index.remove_row(0);
    let graph = index.graph_mut();
    let plan = plan.unwrap_or_else(|| graph.plan_insertion(&vector, entry.id));
    let slot = graph.insert(plan, &vector, Arc::clone(&entry));
    entry.set_place(Place::Slot(slot));
    true
}

/// Takes an entry out. Only one thread may change an index, as with [`move_row`].
pub(super) fn remove(index: &RwLock<Index>, entry: &Entry) {
    match entry.place() {
        Place::Nowhere => return,
        Place::Row(row) => index.write().remove_row(row),
        Place::Slot(slot) => {
            let plan = match &index.read().graph {
                Some(graph) => graph.plan_removal(slot),
                None => return,
            };
            if let Some(graph) = &mut index.write().graph {
                graph.remove(plan);
            }
        }
    }
    entry.set_place(Place::Nowhere);
}
