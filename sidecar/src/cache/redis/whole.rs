//! What concerns many entries at once: counting, removal, export.
//!
//! Every node is walked through with `SCAN`, in batches, on connections of its own. What is stored meanwhile may be seen or not.
//!
//! A removal takes entries away by `UNLINK`, then builds their vector sets anew: names are read and the set is removed in one
//! transaction, then the vectors of the entries that are left are added again, from their hashes. Until that is done a lookup may
//! miss what it would have found.

use std::collections::HashSet;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisError, cmd, pipe};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use super::RedisStore;
use super::entry::{FIELDS, StoredEntry, VECTOR, add_vector, expire, f32_values, mark, unmark};
use super::keys::{Element, Keys, Kind, Name};
use super::slices::Slice;
use crate::cache::{
    EntryKey, Exported, Filter, Partition, Removed, Stats, StoreError, StoredAnswer, Timestamp,
};
use crate::metrics::Eviction;

/// Keys that one step of `SCAN` looks at.
const SCAN_COUNT: usize = 500;

/// Entries that are read at once, with their answers.
const EXPORTED_AT_ONCE: usize = 32;

/// Marks that are taken off at once.
const UNMARKED_AT_ONCE: usize = 500;

/// Vectors that are added at once.
const ADDED_AT_ONCE: usize = 32;

/// Lines that are read ahead of a slow reader.
const LINES_AHEAD: usize = 64;

/// Time for one step.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Fields that tell whether a [`Filter`] names an entry.
const FILTERED: [&str; 4] = ["stored_at_ms", "model", "decision", "owner"];

/// A node, step by step.
struct Walk {
    node: MultiplexedConnection,
    keys: Keys,
    cursor: Option<u64>,
}

/// A vector set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct VectorSet {
    encoder: String,
    partition: Partition,
    slice: Slice,
}

/// A key with what it says.
type Named = (String, Name);

impl Walk {
    fn new(node: MultiplexedConnection, keys: &Keys) -> Self {
        let keys = keys.clone();
        let cursor = Some(0);
        Self { node, keys, cursor }
    }

    /// The next keys; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<Named>>, StoreError> {
        let Some(cursor) = self.cursor else {
            return Ok(None);
        };
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(self.keys.pattern());
        scan.arg("COUNT").arg(SCAN_COUNT);
        let step = timeout(STEP_TIMEOUT, scan.query_async(&mut self.node));
        let (cursor, keys): (u64, Vec<Vec<u8>>) = in_time(step.await)?;
        self.cursor = (cursor != 0).then_some(cursor);
        let names = keys.into_iter().filter_map(|key| {
            let key = String::from_utf8(key).ok()?;
            let name = self.keys.read(&key)?;
            Some((key, name))
        });
        Ok(Some(names.collect()))
    }

    async fn ask<T: FromRedisValue>(&mut self, pipeline: &Pipeline) -> Result<T, StoreError> {
        in_time(timeout(STEP_TIMEOUT, pipeline.query_async(&mut self.node)).await)
    }

    /// Removes keys, and says how many were there.
    async fn unlink<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k String>,
    ) -> Result<usize, StoreError> {
        let mut pipeline = pipe();
        let mut is_empty = true;
        for key in keys {
            pipeline.cmd("UNLINK").arg(key);
            is_empty = false;
        }
        if is_empty {
            return Ok(0);
        }
        let removed: Vec<usize> = self.ask(&pipeline).await?;
        Ok(removed.into_iter().sum())
    }

    /// Of these keys, the entries that `filter` names and that were not seen yet, with the sets that their vectors are in.
    async fn named(
        &mut self,
        batch: &[Named],
        filter: &Filter,
        seen: &mut Seen,
    ) -> Result<Vec<(String, Vec<VectorSet>)>, StoreError> {
        let entries: Vec<(&String, &Name, EntryKey)> = entries(batch).collect();
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for (key, ..) in &entries {
            pipeline.cmd("HMGET").arg(key).arg(&FILTERED);
            pipeline.cmd("HKEYS").arg(key);
        }
        let values: Vec<Vec<Option<String>>> = self.ask(&pipeline).await?;
        let now = Timestamp::now();
        let (pairs, _) = values.as_chunks::<2>();
        let named = entries.into_iter().zip(pairs);
        let named = named.filter_map(|((key, name, entry), [values, fields])| {
            let (answer, stored_at) = filtered(values)?;
            if !filter.names(&name.partition, &answer, stored_at, now)
                || !seen.insert((name.encoder.clone(), entry))
            {
                return None;
            }
            let slices = fields.iter().flatten().filter_map(|f| Slice::of_field(f));
            let sets = slices.map(|slice| VectorSet {
                encoder: name.encoder.clone(),
                partition: name.partition,
                slice,
            });
            Some((key.clone(), sets.collect()))
        });
        Ok(named.collect())
    }

    /// Builds a set anew from the entries that are left. Marks go before their vectors and come back with them: where this breaks
    /// off, the next store of an entry puts its vector back.
    async fn rebuild(&mut self, set: &VectorSet) -> Result<(), StoreError> {
        let key = self.keys.vectors(&set.encoder, &set.partition, set.slice);
        let names = |pipeline: &mut Pipeline| {
            pipeline.cmd("VRANDMEMBER").arg(&key).arg(i32::MAX);
        };
        let mut pipeline = pipe();
        names(&mut pipeline);
        let elements = self.elements(&pipeline).await?;
        for elements in elements.chunks(UNMARKED_AT_ONCE) {
            let mut pipeline = pipe();
            for (entry, _) in elements {
                let entry = self.keys.entry(&set.encoder, &set.partition, entry);
                unmark(&mut pipeline, &entry, set.slice);
            }
            let () = self.ask(&pipeline).await?;
        }
        let mut pipeline = pipe();
        pipeline.atomic();
        names(&mut pipeline);
        pipeline.cmd("UNLINK").arg(&key).ignore();
        let elements = self.elements(&pipeline).await?;
        let now = Timestamp::now();
        for elements in elements.chunks(ADDED_AT_ONCE) {
            let mut pipeline = pipe();
            for (entry, _) in elements {
                let entry = self.keys.entry(&set.encoder, &set.partition, entry);
                pipeline.cmd("HGET").arg(entry).arg(VECTOR);
            }
            let vectors: Vec<Option<Vec<u8>>> = self.ask(&pipeline).await?;
            let mut pipeline = pipe();
            pipeline.atomic();
            for ((entry, stored_at), vector) in elements.iter().zip(vectors) {
                // None, or one without components: removed, or stored again without one.
                let vector = vector.filter(|vector| !vector.is_empty());
                let Some(vector) = vector else { continue };
                let element = Element::new(*entry, *stored_at);
                add_vector(&mut pipeline, &key, &element, &f32_values(&vector));
                let entry = self.keys.entry(&set.encoder, &set.partition, entry);
                mark(&mut pipeline, &entry, set.slice).ignore();
                // An entry that has gone since comes back as a mark alone, and must go again.
                expire(&mut pipeline, &entry, set.slice, now).arg("NX");
            }
            expire(&mut pipeline, &key, set.slice, now);
            let () = self.ask(&pipeline).await?;
        }
        Ok(())
    }

    /// What the names of vectors say that a pipeline gives, each entry once.
    async fn elements(
        &mut self,
        pipeline: &Pipeline,
    ) -> Result<Vec<(EntryKey, Timestamp)>, StoreError> {
        let (names,): (Vec<Vec<u8>>,) = self.ask(pipeline).await?;
        let mut elements: Vec<_> = names.into_iter().filter_map(Element::read).collect();
        // The latest of an entry.
        elements.sort_by_key(|(_, stored_at)| std::cmp::Reverse(*stored_at));
        let mut seen = HashSet::new();
        elements.retain(|(entry, _)| seen.insert(*entry));
        Ok(elements)
    }

    /// Sends the entries among these keys as lines; `false` when nobody reads any more.
    async fn export(
        &mut self,
        batch: &[Named],
        time_to_live: Duration,
        seen: &mut Seen,
        lines: &mpsc::Sender<Result<String, StoreError>>,
    ) -> Result<bool, StoreError> {
        let entries: Vec<(&String, &Name, EntryKey)> = entries(batch)
            .filter(|(_, name, entry)| seen.insert((name.encoder.clone(), *entry)))
            .collect();
        for entries in entries.chunks(EXPORTED_AT_ONCE) {
            let mut pipeline = pipe();
            for (key, ..) in entries {
                pipeline.cmd("HMGET").arg(key).arg(&FIELDS);
            }
            let values: Vec<Vec<Option<Vec<u8>>>> = self.ask(&pipeline).await?;
            let now = Timestamp::now();
            for ((_, name, key), values) in entries.iter().zip(values) {
                let entry = StoredEntry::read(values);
                let entry = entry.filter(|entry| {
                    entry.is(key, &name.partition) && now.since(entry.stored_at) < time_to_live
                });
                let Some(entry) = entry else { continue };
                let (question, answer) = (&entry.question, &entry.answer);
                let line = Exported::new(&entry.partition, question, entry.stored_at, answer);
                if lines.send(line.line()).await.is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Entries that a walk met, with the encoder they were stored for: `SCAN` may give a key twice.
type Seen = HashSet<(String, EntryKey)>;

/// The entries among these keys.
fn entries(batch: &[Named]) -> impl Iterator<Item = (&String, &Name, EntryKey)> {
    batch.iter().filter_map(|(key, name)| match name.kind {
        Kind::Entry(entry) => Some((key, name, entry)),
        Kind::Vectors(_) => None,
    })
}

/// The values of [`FILTERED`].
fn filtered(values: &[Option<String>]) -> Option<(StoredAnswer, Timestamp)> {
    let [stored_at, model, decision, owner] = values else {
        return None;
    };
    let answer = StoredAnswer {
        model: model.clone()?,
        decision: decision.clone()?,
        owner: owner.clone()?,
        ..StoredAnswer::default()
    };
    Some((answer, Timestamp(stored_at.as_ref()?.parse().ok()?)))
}

fn in_time<T>(
    answer: Result<Result<T, RedisError>, tokio::time::error::Elapsed>,
) -> Result<T, StoreError> {
    match answer {
        Ok(answer) => answer.map_err(|error| StoreError::Failed(error.to_string())),
        Err(_) => Err(StoreError::Unavailable),
    }
}

impl RedisStore {
    async fn walks(&self) -> Result<Vec<Walk>, StoreError> {
        let nodes = self.link.nodes().await?;
        let walk = |node| Walk::new(node, &self.keys);
        Ok(nodes.into_iter().map(walk).collect())
    }

    pub(super) async fn count(&self) -> Result<Stats, StoreError> {
        let mut stats = Stats::default();
        for mut walk in self.walks().await? {
            let mut partitions = HashSet::new();
            while let Some(batch) = walk.next().await? {
                let mut pipeline = pipe();
                for (key, name) in &batch {
                    pipeline.cmd("MEMORY").arg("USAGE").arg(key);
                    // Of every field: by default a few stand for all, and one of them is the answer.
                    pipeline.arg("SAMPLES").arg(0);
                    match name.kind {
                        Kind::Entry(_) => stats.entries += 1,
                        Kind::Vectors(_) => {
                            partitions.insert(name.partition);
                        }
                    }
                }
                if !batch.is_empty() {
                    let bytes: Vec<Option<usize>> = walk.ask(&pipeline).await?;
                    stats.bytes += bytes.into_iter().flatten().sum::<usize>();
                }
            }
            // All sets of a partition are on one node.
            stats.partitions += partitions.len();
        }
        Ok(stats)
    }

    pub(super) async fn remove(
        &self,
        filter: Filter,
        dry_run: bool,
    ) -> Result<Removed, StoreError> {
        let mut entries = 0;
        for mut walk in self.walks().await? {
            let (mut seen, mut touched) = (Seen::new(), HashSet::new());
            while let Some(batch) = walk.next().await? {
                let named = walk.named(&batch, &filter, &mut seen).await?;
                if dry_run {
                    entries += named.len();
                    continue;
                }
                entries += walk.unlink(named.iter().map(|(key, _)| key)).await?;
                touched.extend(named.into_iter().flat_map(|(_, sets)| sets));
            }
            for set in &touched {
                walk.rebuild(set).await?;
            }
        }
        self.count_removed(entries, dry_run)
    }

    pub(super) async fn remove_all(&self) -> Result<Removed, StoreError> {
        let mut entries = 0;
        for mut walk in self.walks().await? {
            while let Some(batch) = walk.next().await? {
                let is_entry = |(_, name): &&Named| matches!(name.kind, Kind::Entry(_));
                let (gone, sets): (Vec<&Named>, Vec<&Named>) = batch.iter().partition(is_entry);
                entries += walk.unlink(gone.into_iter().map(|(key, _)| key)).await?;
                walk.unlink(sets.into_iter().map(|(key, _)| key)).await?;
            }
        }
        self.count_removed(entries, false)
    }

    fn count_removed(&self, entries: usize, dry_run: bool) -> Result<Removed, StoreError> {
        if !dry_run {
            self.metrics.evicted_many(Eviction::Invalidated, entries);
        }
        Ok(Removed {
            entries,
            is_durable: true,
        })
    }

    pub(super) fn lines(&self) -> BoxStream<'static, Result<String, StoreError>> {
        let (lines, mut read) = mpsc::channel(LINES_AHEAD);
        let (link, keys) = (self.link.clone(), self.keys.clone());
        let time_to_live = self.time_to_live();
        tokio::spawn(async move {
            let exported = async {
                let mut seen = Seen::new();
                for node in link.nodes().await? {
                    let mut walk = Walk::new(node, &keys);
                    while let Some(batch) = walk.next().await? {
                        if !walk.export(&batch, time_to_live, &mut seen, &lines).await? {
                            return Ok(());
                        }
                    }
                }
                Ok(())
            };
            if let Err(error) = exported.await {
                // Nobody may read any more.
                let _ = lines.send(Err(error)).await;
            }
        });
        stream::poll_fn(move |context| read.poll_recv(context)).boxed()
    }
}
