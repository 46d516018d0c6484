//! What is in a folder after a crash, a full disk, damage, another version.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::metrics::Persistence;

fn fingerprint(number: u8) -> Fingerprint {
    Fingerprint::new(&embedding(number))
}

fn open(path: &Path) -> Result<Embedded, OpenError> {
    open_with(
        path,
        limits(1_000, 1_000, EvictionPolicy::Lru),
        &CacheMetrics::default(),
    )
}

fn open_with(
    path: &Path,
    limits: CacheLimits,
    metrics: &CacheMetrics,
) -> Result<Embedded, OpenError> {
    Embedded::open(path, limits, 3, fingerprint(0), metrics.clone())
}

fn store(store: &Embedded, question: &str, body: &str) {
    let now = Timestamp::now();
    store.store_at(
        entry(partition(1), question, Some(embedding(1)), body, now),
        now,
    );
}

fn body(store: &Embedded, question: &str) -> Option<String> {
    let found = store.exact_at(&partition(1), question, Timestamp::now());
    found.map(|found| found.answer.body.clone())
}

/// The files whose names begin so, in the order of their numbers.
fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(kind)
        })
        .collect();
    files.sort();
    files
}

/// A closed folder with ten entries.
fn ten() -> TempDir {
    let folder = TempDir::new().unwrap();
    let ten = open(folder.path()).unwrap();
    for number in 0..10 {
        store(&ten, &number.to_string(), &format!("body {number}"));
    }
    ten.close();
    folder
}

#[test]
fn what_was_stored_replaced_removed_and_cleared_is_so_after_a_restart() {
    let folder = ten();
    let first = open(folder.path()).unwrap();
    assert_eq!(first.stats_now().entries, 10);
    store(&first, "1", "another body");
    let filter = Filter {
        model: Some("other".into()),
        ..Filter::default()
    };
    let mut new = entry(partition(2), "gone", None, "x", Timestamp::now());
    new.answer.model = "other".into();
    first.store_at(new, Timestamp::now());
    assert_eq!(
        first.invalidate_at(&filter, false, Timestamp::now()),
        Removed {
            entries: 1,
            is_durable: true
        }
    );
    first.close();

    let second = open(folder.path()).unwrap();
    assert_eq!(body(&second, "1").as_deref(), Some("another body"));
    assert_eq!(body(&second, "2").as_deref(), Some("body 2"));
    assert_eq!(second.stats_now(), first.stats_now());
    let nearest = second.nearest_at(&partition(1), &embedding(1), 0.99, 20, Timestamp::now());
    assert_eq!(nearest.len(), 10, "vectors are kept");
    assert_eq!(
        second.clear_all(),
        Removed {
            entries: 10,
            is_durable: true
        }
    );
    second.close();
    assert_eq!(open(folder.path()).unwrap().stats_now(), Stats::default());
}

#[test]
fn ages_go_on_while_the_sidecar_is_down() {
    let folder = TempDir::new().unwrap();
    let first = open(folder.path()).unwrap();
    let before = Timestamp(Timestamp::now().0 - 5_000);
    first.store_at(entry(partition(1), "q", None, "a", before), before);
    first.close();
    let second = open_with(
        folder.path(),
        limits(10, 6, EvictionPolicy::Fifo),
        &CacheMetrics::default(),
    )
    .unwrap();
    let found = second
        .exact_at(&partition(1), "q", Timestamp::now())
        .unwrap();
    assert!(found.age >= Duration::from_secs(5), "{:?}", found.age);
    let later = Timestamp::now().after(Duration::from_secs(1));
    assert!(second.exact_at(&partition(1), "q", later).is_none());
}

#[test]
fn a_folder_is_used_by_one_store_and_free_when_that_is_closed() {
    let folder = TempDir::new().unwrap();
    let first = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{} is in use by another process", folder.path().display())
    );
    first.close();
    store(&first, "q", "a");
    assert_eq!(
        body(&first, "q").as_deref(),
        Some("a"),
        "a closed store goes on in memory"
    );
    assert_eq!(open(folder.path()).unwrap().stats_now().entries, 0);
}

#[test]
fn a_journal_cut_anywhere_gives_what_was_before_the_cut() {
    let folder = ten();
    let journal = files(folder.path(), "journal").pop().unwrap();
    let whole = fs::read(&journal).unwrap();
    for cut in (0..whole.len()).step_by(7) {
        let other = TempDir::new().unwrap();
        fs::write(
            other.path().join(journal.file_name().unwrap()),
            &whole[..cut],
        )
        .unwrap();
        let opened = open(other.path()).unwrap();
        let entries = opened.stats_now().entries;
        for number in 0..10 {
            let expected = (number < entries).then(|| format!("body {number}"));
            assert_eq!(body(&opened, &number.to_string()), expected, "cut at {cut}");
        }
        store(&opened, "new", "is stored");
        opened.close();
        let again = open(other.path()).unwrap();
        assert_eq!(again.stats_now().entries, entries + 1, "cut at {cut}");
    }
}

#[test]
fn a_changed_byte_costs_entries_but_changes_none() {
    let folder = ten();
    let journal = files(folder.path(), "journal").pop().unwrap();
    let whole = fs::read(&journal).unwrap();
    // Magic and version tell another file; the rest is guarded by checksums.
    for at in (12..whole.len()).step_by(5) {
        let other = TempDir::new().unwrap();
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        fs::write(other.path().join(journal.file_name().unwrap()), &changed).unwrap();
        let metrics = CacheMetrics::default();
        let opened = open_with(
            other.path(),
            limits(100, 1_000, EvictionPolicy::Fifo),
            &metrics,
        )
        .unwrap();
        assert!(opened.stats_now().entries < 10, "byte {at} was not noticed");
        for number in 0..10 {
            if let Some(body) = body(&opened, &number.to_string()) {
                assert_eq!(body, format!("body {number}"));
            }
        }
        assert_ne!(
            metrics.skipped_so_far(),
            (0, 0),
            "byte {at} was not counted"
        );
    }
}

#[test]
fn a_damaged_entry_costs_itself_alone() {
    let folder = ten();
    let journal = files(folder.path(), "journal").pop().unwrap();
    let mut bytes = fs::read(&journal).unwrap();
    let at = bytes
        .windows(6)
        .position(|window| window == b"body 4")
        .unwrap();
    bytes[at] = b'B';
    fs::write(&journal, bytes).unwrap();
    let opened = open(folder.path()).unwrap();
    assert_eq!(opened.stats_now().entries, 9);
    assert_eq!(body(&opened, "4"), None);
}

#[test]
fn another_version_is_refused_with_what_to_do_and_nothing_is_changed() {
    for (version, advice) in [
        (0_u32, "empty the folder"),
        (
            2,
            "use the newer sidecar that wrote it, or empty the folder",
        ),
    ] {
        let folder = ten();
        let journal = files(folder.path(), "journal").pop().unwrap();
        let mut bytes = fs::read(&journal).unwrap();
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        fs::write(&journal, &bytes).unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        let expected = format!(
            "{} has version {version} of the cache's files, this sidecar reads version 1; {advice}",
            journal.display()
        );
        assert_eq!(error, expected);
        assert_eq!(fs::read(&journal).unwrap(), bytes);
    }
}

#[test]
fn entries_of_another_encoder_are_left_out() {
    let folder = ten();
    let limits = limits(100, 1_000, EvictionPolicy::Fifo);
    let other = Embedded::open(
        folder.path(),
        limits,
        3,
        fingerprint(5),
        CacheMetrics::default(),
    )
    .unwrap();
    assert_eq!(other.stats_now(), Stats::default());
    store(&other, "q", "a");
    other.close();
    let again = Embedded::open(
        folder.path(),
        limits,
        3,
        fingerprint(5),
        CacheMetrics::default(),
    )
    .unwrap();
    assert_eq!(again.stats_now().entries, 1);
}

#[test]
fn a_snapshot_beside_stores_and_the_journals_around_it_give_the_store_again() {
    let folder = TempDir::new().unwrap();
    let vectors: Vec<_> = clustered(&mut Numbers(21), 6_000, 16)
        .into_iter()
        .map(Embedding::normalized)
        .collect();
    let limits = limits(5_000, 1_000, EvictionPolicy::Fifo);
    let open = || {
        let fingerprint = Fingerprint::new(&vectors[0]);
        Embedded::open(
            folder.path(),
            limits,
            16,
            fingerprint,
            CacheMetrics::default(),
        )
        .unwrap()
    };
    let first = open();
    let now = Timestamp::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(50));
                first.write_snapshot_now();
            }
        });
        for (at, vector) in vectors.iter().enumerate() {
            first.store_at(
                entry(
                    partition(1),
                    &at.to_string(),
                    Some(vector.clone()),
                    &at.to_string(),
                    now,
                ),
                now,
            );
        }
    });
    first.close();
    assert_eq!(files(folder.path(), "snapshot").len(), 1);
    let second = open();
    assert_eq!(second.stats_now(), first.stats_now());
    let mut found_itself = 0;
    for (at, vector) in vectors.iter().enumerate() {
        let question = at.to_string();
        let exact = second.exact_at(&partition(1), &question, now);
        assert_eq!(
            exact.map(|found| found.answer.body.clone()),
            (at >= 1_000).then(|| question.clone())
        );
        let nearest = second.nearest_at(&partition(1), vector, 0.999, 1, now);
        found_itself += usize::from(
            nearest
                .first()
                .is_some_and(|found| *found.question == question),
        );
    }
    assert!(found_itself >= 4_950, "{found_itself} of 5000");
}

/// Set for a child: its folder.
const CHILD: &str = "TURNPIKE_TEST_CACHE_FOLDER";

/// Runs a test of this file again as a process of its own, by `sh -c` with `prelude` before it.
fn child(test: &str, folder: &Path, prelude: &str) -> std::process::Child {
    std::process::Command::new("sh")
        .args(["-c", &format!("{prelude} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args([
            &format!("cache::tests::persistence::{test}"),
            "--exact",
            "--nocapture",
        ])
        .env(CHILD, folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// The disk takes no more than 100 blocks of a file until the child says otherwise; a write beyond is an error, not a signal.
const SMALL_DISK: &str = "trap '' XFSZ; ulimit -S -f 100;";

fn enlarge_the_disk() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .unwrap();
}

/// Stores until the disk takes no more, and returns how many entries these were.
fn store_until_full(opened: &Embedded, metrics: &CacheMetrics) -> usize {
    let started_at = Instant::now();
    for number in 0.. {
        store(opened, &number.to_string(), &"x".repeat(5_000));
        if metrics.persistence_failures(Persistence::Journal) > 0 {
            return number + 1;
        }
        assert!(
            started_at.elapsed() < Duration::from_secs(10),
            "nobody noticed"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    0
}

#[test]
fn the_disk_is_full_and_stores_go_on_in_memory_and_come_back_to_the_disk() {
    let Some(path) = std::env::var_os(CHILD) else {
        let folder = TempDir::new().unwrap();
        let test = "the_disk_is_full_and_stores_go_on_in_memory_and_come_back_to_the_disk";
        let status = child(test, folder.path(), SMALL_DISK).wait().unwrap();
        assert!(status.success());
        let expected: usize = fs::read_to_string(folder.path().join("stored"))
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(open(folder.path()).unwrap().stats_now().entries, expected);
        return;
    };
    let (path, metrics) = (Path::new(&path), CacheMetrics::default());
    let opened = open_with(path, limits(10_000, 1_000, EvictionPolicy::Fifo), &metrics).unwrap();
    let stored = store_until_full(&opened, &metrics);
    store(&opened, "meanwhile", "b");
    assert_eq!(opened.stats_now().entries, stored + 1);
    assert_eq!(body(&opened, "meanwhile").as_deref(), Some("b"));
    // The attempt to write the whole down fails, too.
    let full = Instant::now();
    while metrics.persistence_failures(Persistence::Snapshot) == 0 {
        assert!(
            full.elapsed() < Duration::from_secs(20),
            "no attempt was made"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    enlarge_the_disk();
    while files(path, "snapshot")
        .iter()
        .all(|file| file.extension().is_some())
    {
        assert!(full.elapsed() < Duration::from_secs(40), "never came back");
        std::thread::sleep(Duration::from_millis(10));
    }
    store(&opened, "after", "c");
    opened.close();
    fs::write(path.join("stored"), (stored + 2).to_string()).unwrap();
}

#[test]
fn what_is_removed_while_the_disk_is_full_stays_away_after_a_crash() {
    let Some(path) = std::env::var_os(CHILD) else {
        let folder = TempDir::new().unwrap();
        let test = "what_is_removed_while_the_disk_is_full_stays_away_after_a_crash";
        let status = child(test, folder.path(), SMALL_DISK).wait().unwrap();
        assert!(!status.success(), "the child aborts");
        assert_eq!(open(folder.path()).unwrap().stats_now(), Stats::default());
        return;
    };
    let metrics = CacheMetrics::default();
    let opened = open_with(
        Path::new(&path),
        limits(10_000, 1_000, EvictionPolicy::Fifo),
        &metrics,
    )
    .unwrap();
    let stored = store_until_full(&opened, &metrics);
    let filter = Filter {
        model: Some("m".into()),
        ..Filter::default()
    };
    let removed = opened.invalidate_at(&filter, false, Timestamp::now());
    assert_eq!(
        removed,
        Removed {
            entries: stored,
            is_durable: true
        }
    );
    std::process::abort();
}

#[test]
fn a_process_that_is_killed_while_it_stores_loses_the_last_second_at_most() {
    if let Some(folder) = std::env::var_os(CHILD) {
        store_until_killed(Path::new(&folder));
    }
    for round in 0..3 {
        let folder = TempDir::new().unwrap();
        let this = "a_process_that_is_killed_while_it_stores_loses_the_last_second_at_most";
        let mut child = child(this, folder.path(), "");
        std::thread::sleep(Duration::from_millis(2_500 + 400 * round));
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        let stored = fs::read_to_string(folder.path().join("stored")).unwrap();
        let last = last_number(&stored);
        let opened = Embedded::open(
            folder.path(),
            limits(1_000_000, 1_000, EvictionPolicy::Fifo),
            3,
            fingerprint(0),
            CacheMetrics::default(),
        )
        .unwrap();
        let mut lost = Vec::new();
        for line in stored.lines() {
            let Some((number, at)) = line.split_once(' ') else {
                continue;
            };
            match opened.exact_at(&partition(1), number, Timestamp::now()) {
                Some(found) => assert_eq!(found.answer.body, format!("body {number}")),
                None => lost.push(at.parse::<u64>().unwrap()),
            }
        }
        let (_, last_at) = last;
        assert!(stored.lines().count() > 100, "{stored}");
        let oldest_lost = lost.iter().min().copied().unwrap_or(last_at);
        assert!(
            last_at - oldest_lost <= 1_000,
            "lost {} ms",
            last_at - oldest_lost
        );
    }
}

fn last_number(stored: &str) -> (u64, u64) {
    let mut lines = stored.lines().rev().filter_map(|line| line.split_once(' '));
    let (number, at) = lines.next().unwrap();
    (number.parse().unwrap(), at.parse().unwrap())
}

/// Stores, and writes down beside the cache what it has stored and when, until the end.
fn store_until_killed(folder: &Path) -> ! {
    let limits = limits(1_000_000, 1_000, EvictionPolicy::Fifo);
    let opened =
        Embedded::open(folder, limits, 3, fingerprint(0), CacheMetrics::default()).unwrap();
    let mut stored = fs::File::create(folder.join("stored")).unwrap();
    for number in 0_u64.. {
        store(&opened, &number.to_string(), &format!("body {number}"));
        writeln!(stored, "{number} {}", Timestamp::now().0).unwrap();
        std::thread::sleep(Duration::from_micros(500));
    }
    std::process::exit(1)
}
