//! A response body written piece by piece, each flushed alone, under the orders of a [`Script`].

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::record::{Outcome, Ticket};
use super::script::{Script, Usage};

/// The connection is to be cut.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the script cuts the connection here")
    }
}

impl std::error::Error for Cut {}

/// Pieces from the writing task.
///
/// After each one it is pending once, because hyper flushes only then: two pieces never share a write.
#[derive(Debug)]
pub(super) struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, Cut>>,
    flush: bool,
    length: Option<u64>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if std::mem::take(&mut self.flush) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = ready!(self.receiver.poll_recv(context));
        self.flush = true;
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// What to write.
#[derive(Debug)]
pub(super) struct Answer {
    /// The body in its natural pieces: SSE events, or one JSON document.
    pub(super) pieces: Vec<Bytes>,
    /// Whether `content-length` is sent.
    pub(super) sized: bool,
    /// Who pays what.
    pub(super) bill: Option<Bill>,
}

/// Who pays what.
#[derive(Debug)]
pub(super) struct Bill {
    pub(super) model: String,
    pub(super) user: String,
    /// Once all is written.
    pub(super) usage: Usage,
    /// What each piece says has been used until then, where pieces do (`continuous_usage_stats`); else empty.
    pub(super) so_far: Vec<Usage>,
}

impl Bill {
    /// Usage that an answer with this end told the client; `None`: it did not say.
    fn due(&self, end: End) -> Option<Usage> {
        match end {
            End::Complete => Some(self.usage),
            End::Aborted { written } => self.so_far.get(written.checked_sub(1)?).copied(),
        }
    }
}

/// How the writing of an answer ended.
#[derive(Debug, Clone, Copy)]
enum End {
    Complete,
    Aborted { written: usize },
}

/// Starts to write; the returned body hands the pieces to hyper.
pub(super) fn write(answer: Answer, script: Script, ticket: Ticket) -> Pieces {
    let whole: usize = answer.pieces.iter().map(Bytes::len).sum();
    let (sender, receiver) = mpsc::channel(1);
    let length = answer.sized.then_some(whole as u64);
    tokio::spawn(async move {
        let bill = answer.bill;
        let pieces = match script.split {
            Some(size) => split(&answer.pieces.concat(), size),
            None => answer.pieces,
        };
        if let Some(end) = send_all(pieces, &script, &ticket, &sender).await {
            if let Some(bill) = bill
                && let Some(usage) = bill.due(end)
            {
                ticket.records().serve(&bill.model, &bill.user, usage);
            }
            ticket.settle(match end {
                End::Complete => Outcome::Complete,
                End::Aborted { .. } => Outcome::Aborted,
            });
        }
    });
    Pieces {
        receiver,
        flush: false,
        length,
    }
}

/// `None`: the client left.
async fn send_all(
    pieces: Vec<Bytes>,
    script: &Script,
    ticket: &Ticket,
    sender: &mpsc::Sender<Result<Bytes, Cut>>,
) -> Option<End> {
    for (at, piece) in pieces.into_iter().enumerate() {
        if script.abort_after == Some(at) {
            let _ = sender.send(Err(Cut)).await;
            return Some(End::Aborted { written: at });
        }
        if script.hold_after == Some(at) {
            tokio::select! {
                () = ticket.records().released(&script.tag) => {}
                () = sender.closed() => return None,
            }
        }
        if script.delay_pieces_ms > 0 && at > 0 {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(script.delay_pieces_ms)) => {}
                () = sender.closed() => return None,
            }
        }
        sender.send(Ok(piece)).await.ok()?;
    }
    Some(End::Complete)
}

fn split(body: &[u8], size: usize) -> Vec<Bytes> {
    body.chunks(size).map(Bytes::copy_from_slice).collect()
}
