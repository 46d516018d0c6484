//! The graph against exact search, under any order of insertions and removals.

use proptest::prelude::*;

use super::*;
use crate::cache::fixed_point::{dot, quantized};
use crate::cache::tests::{Numbers, clustered, near, near_one_of, unit_vector};
use crate::encoder::Embedding;

const DIMENSIONS: usize = 24;

/// A graph whose nodes are their own slots' numbers of insertion.
struct Grown {
    graph: Graph<u64>,
    /// Slot and vector by number.
    nodes: HashMap<u64, (Slot, Box<[i16]>)>,
    next: u64,
}

impl Grown {
    fn new() -> Self {
        Self::of(DIMENSIONS)
    }

    fn of(dimensions: usize) -> Self {
        Self {
            graph: Graph::new(dimensions),
            nodes: HashMap::new(),
            next: 0,
        }
    }

    fn insert(&mut self, values: &[f32]) {
        let vector = quantized(values);
        let plan = self.graph.plan_insertion(&vector, self.next);
        let slot = self.graph.insert(plan, &vector, self.next);
        self.nodes.insert(self.next, (slot, vector));
        self.next += 1;
    }

    fn remove(&mut self, number: u64) {
        let Some((slot, _)) = self.nodes.remove(&number) else {
            return;
        };
        let plan = self.graph.plan_removal(slot);
        assert_eq!(self.graph.remove(plan), Some(number));
    }

    /// Share of queries whose nearest node is found.
    fn recall(&self, queries: &[Vec<f32>]) -> f32 {
        let found = queries.iter().filter(|query| {
            let query = quantized(query);
            let best = self.nodes.values().map(|(_, vector)| dot(&query, vector));
            let found = self.graph.search(&query, self.graph.breadth());
            found.first().map(|found| found.0) == best.max()
        });
        found.count() as f32 / queries.len() as f32
    }

    /// Links lead both ways, to nodes that are there, to each once, to no more than there is room for.
    fn check(&self) {
        let graph = &self.graph;
        assert_eq!(graph.len(), self.nodes.len());
        for (number, (slot, vector)) in &self.nodes {
            assert_eq!(graph.get(*slot), Some(number));
            assert_eq!(graph.vector(*slot), *vector);
            for level in 0..=graph.level_of(*slot) {
                let links = graph.neighbours(level, *slot);
                assert!(links.len() <= Graph::<u64>::max_links(level));
                for (at, other) in links.iter().enumerate() {
                    assert!(graph.leads_back(level, *slot, *other), "{slot} -> {other}");
                    assert!(!links[..at].contains(other), "{slot} -> {other} twice");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_order_of_insertions_and_removals_leaves_a_sound_graph_that_finds_what_is_there(
        steps in prop::collection::vec((any::<bool>(), 0..200_u64), 1..300),
    ) {
        let mut grown = Grown::new();
        let mut numbers = Numbers(1);
        for (insert, number) in steps {
            if insert {
                grown.insert(&unit_vector(&mut numbers, DIMENSIONS));
            } else {
                grown.remove(number);
            }
        }
        grown.check();
        for (number, (slot, vector)) in &grown.nodes {
            let found = grown.graph.search(vector, grown.graph.breadth());
            prop_assert_eq!(found.first().map(|f| f.1), Some(*slot), "{}", number);
        }
    }
}

#[test]
fn nodes_that_come_and_go_for_long_leave_the_recall_as_it_was() {
    let mut numbers = Numbers(2);
    let mut grown = Grown::new();
    let vectors = clustered(&mut numbers, 9_000, DIMENSIONS);
    for vector in &vectors[..3_000] {
        grown.insert(vector);
    }
    for (at, vector) in vectors[3_000..].iter().enumerate() {
        grown.remove(at as u64);
        grown.insert(vector);
    }
    grown.check();
    let queries: Vec<_> = (0..400)
        .map(|_| near_one_of(&mut numbers, &vectors[6_000..], 0.3))
        .collect();
    let recall = grown.recall(&queries);
    assert!(recall >= 0.99, "{recall}");
}

/// One sentence with many numbers, after others of its kind have come and gone, and four copies of the question, which stand out; of
/// an encoder that has a component much larger than others, too.
#[test]
fn among_more_near_duplicates_than_are_kept_in_view_the_nearest_are_found() {
    for (twins, largest) in [(60, 0.0), (400, 0.0), (60, 0.9), (400, 0.9)] {
        let mut numbers = Numbers(4);
        let mut grown = Grown::of(384);
        let shifted = |mut vector: Vec<f32>| {
            vector[0] += largest;
            Embedding::normalized(vector).values().to_vec()
        };
        let others = clustered(&mut numbers, 2_000, 384);
        let sentence = others[0].clone();
        others.into_iter().for_each(|v| grown.insert(&shifted(v)));
        let vectors: Vec<_> = (0..3 * twins)
            .map(|_| shifted(near(&mut numbers, &sentence, 0.02)))
            .collect();
        for (at, vector) in vectors.iter().enumerate() {
            grown.insert(vector);
            if let Some(gone) = at.checked_sub(twins) {
                grown.remove((2_000 + gone) as u64);
            }
        }
        let queries: Vec<_> = (0..200)
            .map(|_| near_one_of(&mut numbers, &vectors[2 * twins..], 0.01))
            .collect();
        let recall = grown.recall(&queries);
        assert!(recall >= 0.97, "{twins}, {largest}: {recall}");
        for _ in 0..4 {
            grown.insert(&shifted(sentence.clone()));
        }
        let query = quantized(&shifted(sentence.clone()));
        let mut best: Vec<i32> = grown.nodes.values().map(|(_, v)| dot(&query, v)).collect();
        best.sort_unstable_by(|a, b| b.cmp(a));
        let found = grown.graph.search(&query, grown.graph.breadth());
        let found: Vec<i32> = found.iter().map(|found| found.0).collect();
        let right = found[..16].iter().filter(|f| **f >= best[15]).count();
        assert!(right >= 15, "{twins}, {largest}: {right} of 16");
    }
}

#[test]
fn a_graph_comes_back_from_its_nodes_and_a_lost_node_costs_its_own_links_alone() {
    let mut numbers = Numbers(3);
    let mut grown = Grown::new();
    for vector in clustered(&mut numbers, 2_000, DIMENSIONS) {
        grown.insert(&vector);
    }
    let mut restored = Graph::new(DIMENSIONS);
    for slot in (0..2_000).filter(|slot| slot % 100 != 0) {
        let placed = grown.graph.placed(slot);
        assert!(restored.restore(&placed, &grown.graph.vector(slot), u64::from(slot)));
        assert!(
            !restored.restore(&placed, &grown.graph.vector(slot), 0),
            "the slot is taken"
        );
    }
    restored.mend();
    grown.nodes.retain(|_, (slot, _)| *slot % 100 != 0);
    grown.graph = restored;
    grown.check();
    let queries: Vec<_> = grown
        .nodes
        .values()
        .take(200)
        .map(|(_, vector)| vector.iter().map(|v| f32::from(*v) / 32_767.0).collect())
        .collect();
    assert!(grown.recall(&queries) >= 0.99);
    grown.insert(&queries[0]);
    grown.check();
}
