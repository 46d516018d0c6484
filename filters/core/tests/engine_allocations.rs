//! The engine takes no memory to decide.

#![expect(unsafe_code, reason = "a global allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use serde_json::json;
use turnpike_core::Config;
use turnpike_core::decision::{Engine, Signal, Strategy, Verdict};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is the system allocator's; only a counter of the thread is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_hundred_decisions_are_evaluated_without_an_allocation() {
    let signal = |i: usize| json!({"type": "header", "name": format!("h{}", i % 20)});
    let decisions: Vec<_> = (0..100)
        .map(|i| {
            json!({"name": format!("d{i}"), "modelRefs": [], "rules": {"operator": "AND", "conditions": [
                {"operator": "OR", "conditions": [signal(i), signal(i + 1)]},
                {"operator": "NOT", "conditions": [signal(i + 2)]}, signal(i + 3)]}})
        })
        .collect();
    let rules: Vec<_> = (0..20)
        .map(|i| json!({"name": format!("h{i}"), "header": format!("x-{i}")}))
        .collect();
    let config = json!({"decisions": decisions, "header_rules": rules});
    let mut config: Config = serde_json::from_value(config).unwrap();
    for strategy in [Strategy::Priority, Strategy::Confidence] {
        config.strategy = strategy;
        let engine = Engine::compile(&config, &|_| None);
        assert_eq!(engine.signals().len(), 20);
        for known in [Signal::No, Signal::Yes(0.5), Signal::Unknown] {
            let mut signals = vec![known; 20];
            let before = COUNT.with(Cell::get);
            engine.derive(&mut signals);
            let verdict = engine.decide(&signals);
            assert_eq!(COUNT.with(Cell::get), before, "{strategy:?}, {known:?}");
            let open = matches!(verdict, Verdict::Open(_));
            assert_eq!(open, known == Signal::Unknown, "{verdict:?}");
        }
    }
}
