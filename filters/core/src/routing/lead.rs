//! Lookups for whose answer others may wait, as this worker knows them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Tickets that wait for the next tick; further ones are dropped, and waiting for them ends by its own limit.
const MAX_RELEASES: usize = 1024;

/// Bits of a ticket that count the lookups of one microsecond; the time is above them.
const COUNTER_BITS: u32 = 12;
const COUNTER_MASK: u64 = 0xfff;

/// The leads of one worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Leads(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counter: Cell<u64>,
    /// Tickets of leads that ended without an answer.
    releases: RefCell<Vec<u64>>,
}

/// A lookup that may lead. Dropped, however its stream ended, it is one for the sidecar to release: unless it was [settled](Lead::settle).
#[derive(Debug)]
pub(super) struct Lead {
    ticket: u64,
    /// `None` once it is settled.
    leads: Option<Leads>,
}

impl Leads {
    /// A lead with a ticket of its own.
    pub(super) fn begin(&self, now_us: u64) -> Lead {
        let counter = self.0.counter.get().wrapping_add(1);
        self.0.counter.set(counter);
        Lead {
            ticket: now_us.wrapping_shl(COUNTER_BITS) | (counter & COUNTER_MASK),
            leads: Some(self.clone()),
        }
    }

    /// Tickets of leads that ended without an answer, since this was asked last.
    pub(super) fn take_releases(&self) -> Vec<u64> {
        let releases = self.0.releases.try_borrow_mut();
        releases.map_or_else(|_| Vec::new(), |mut r| std::mem::take(&mut *r))
    }
}

impl Lead {
    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Nobody waits for it, or somebody else tells those who do.
    pub(super) fn settle(mut self) {
        self.leads = None;
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let Some(leads) = self.leads.take()
            && let Ok(mut releases) = leads.0.releases.try_borrow_mut()
            && releases.len() < MAX_RELEASES
        {
            releases.push(self.ticket);
        }
    }
}
